/** What kernels are composed with to write and to read keys, values and weights of each element type. */
import * as wgsl from "../../kernels/mod.ts";
import { BITS, isQuantized, quantizedWords } from "./quantized.ts";
import { loadPacks, type Loads } from "./loads.ts";
import type { WgslModule } from "../gpu/compose.ts";
import type { Dtype, KvDtype } from "./dtype.ts";

/** Types, constants and fragments that a module takes in. */
type Parts = Required<Omit<WgslModule, "enables" | "extensions">>;

/** The WGSL type that rows are made of. */
export function storedType(dtype: KvDtype): string {
  return isQuantized(dtype) ? "u32" : dtype;
}

/** How many of that type a row takes. */
export function storedElements(size: number, dtype: KvDtype): number {
  return isQuantized(dtype) ? quantizedWords(size, dtype) : size;
}

/** What declares `Pack`: so many elements that are loaded at once. */
export function packFragment(packSize: 1 | 4): string {
  return packSize === 4 ? wgsl.packVec4 : wgsl.packScalar;
}

/**
 * What declares `k` and `v`, finds their rows by `kvRowAt` and reads them by `keysAt` and `valuesAt`, the packs of a load at
 * a time; keys as factors of products in `products`.
 */
export function kvReads(
  dtype: KvDtype,
  packSize: 1 | 4,
  loads: Loads,
  products: Dtype = "f32",
): Parts {
  const { kvNumbers, kvQuantized } = wgsl;
  const parts = reads(dtype, packSize, loads, { numbers: kvNumbers, quantized: kvQuantized });
  return {
    ...parts,
    types: { ...parts.types, Factor: packOf(products, packSize) },
    fragments: [wgsl.slots, ...parts.fragments],
  };
}

/** What declares `q` and reads it by `queryAt`, as many packs at a time as a load of keys brings. */
export function queryReads(dtype: Dtype, kvDtype: KvDtype): string {
  return dtype === kvDtype ? wgsl.queryNumbers : wgsl.queryPacks;
}

/** What declares `w` and reads it by `weightsAt`, the packs of a load at a time. */
export function weightReads(dtype: KvDtype, packSize: 1 | 4, loads: Loads): Parts {
  const { weightNumbers: numbers, weightQuantized } = wgsl;
  return reads(dtype, packSize, loads, { numbers, quantized: weightQuantized });
}

/** What `store`s a new row. */
export function kvStores(dtype: KvDtype): Parts {
  if (isQuantized(dtype)) return quantized(dtype, wgsl.storeQuantized);
  return { types: { Stored: storedType(dtype) }, constants: {}, fragments: [wgsl.storePlain] };
}

function reads(
  dtype: KvDtype,
  packSize: 1 | 4,
  loads: Loads,
  by: { numbers: string; quantized: string },
): Parts {
  const constants = { LOAD_PACKS: loadPacks(loads) };
  if (isQuantized(dtype)) {
    const { constants: own, ...parts } = quantized(dtype, wgsl.quantizedPack, by.quantized);
    return { ...parts, constants: { ...constants, ...own } };
  }
  // Pairs say themselves how they are stored.
  const types: Record<string, string> = loads === "packs"
    ? { Stored: packOf(dtype, packSize) }
    : {};
  return { types, constants, fragments: [numbersOf(dtype, loads), by.numbers] };
}

function numbersOf(dtype: Dtype, loads: Loads): string {
  const { singlePack, pairF16U32, pairF16U64, pairF32U64 } = wgsl;
  if (loads === "packs") return singlePack;
  if (dtype === "f32") return pairF32U64;
  return loads === "u32" ? pairF16U32 : pairF16U64;
}

function packOf(dtype: Dtype, packSize: 1 | 4): string {
  return packSize === 4 ? `vec4<${dtype}>` : dtype;
}

function quantized(dtype: keyof typeof BITS, ...ofRows: string[]): Parts {
  return {
    types: { Stored: storedType(dtype) },
    constants: { BITS: BITS[dtype] },
    fragments: [wgsl.quantizedRow, ...ofRows],
  };
}
