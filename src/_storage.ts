/** What kernels are composed with to write and to read keys, values and weights of each element type. */
import { fragments } from "../kernels/mod.ts";
import { BITS, isQuantized, quantizedWords } from "./_quantized.ts";
import type { WgslModule } from "./_wgsl.ts";
import type { Dtype, KvDtype } from "./tensor.ts";

/** Types, constants and fragments that a module takes in. */
type Parts = Required<Omit<WgslModule, "enables">>;

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
  return packSize === 4 ? fragments.packVec4 : fragments.packScalar;
}

/**
 * What declares `k` and `v` and reads them by `keysAt` and `valuesAt`, `loadPacks` packs of `packSize` elements at a time;
 * keys as factors of products in `products`.
 */
export function kvReads(
  dtype: KvDtype,
  packSize: 1 | 4,
  { products = "f32", loadPacks = 1 }: { products?: Dtype; loadPacks?: 1 | 2 } = {},
): Parts {
  const { kvPlain: plain, kvLong: long, kvQuantized } = fragments;
  const parts = reads(dtype, { packSize, loadPacks }, { plain, long, quantized: kvQuantized });
  return { ...parts, types: { ...parts.types, Factor: packOf(products, packSize) } };
}

/** What declares `w` and reads it by `weightsAt`, `loadPacks` packs of `packSize` elements at a time. */
export function weightReads(dtype: KvDtype, packSize: 1 | 4, loadPacks: 1 | 2 = 1): Parts {
  const { weightPlain: plain, weightLong: long, weightQuantized } = fragments;
  return reads(dtype, { packSize, loadPacks }, { plain, long, quantized: weightQuantized });
}

/** What `store`s a new row. */
export function kvStores(dtype: KvDtype): Parts {
  if (isQuantized(dtype)) return quantized(dtype, fragments.storeQuantized);
  return { types: { Stored: storedType(dtype) }, constants: {}, fragments: [fragments.storePlain] };
}

function reads(
  dtype: KvDtype,
  { packSize, loadPacks }: { packSize: 1 | 4; loadPacks: 1 | 2 },
  by: { plain: string; long: string; quantized: string },
): Parts {
  const constants = { LOAD_PACKS: loadPacks };
  if (isQuantized(dtype)) {
    const { types, ...parts } = quantized(dtype, fragments.quantizedPack, by.quantized);
    return { types, constants: { ...constants, ...parts.constants }, fragments: parts.fragments };
  }
  if (loadPacks === 1) {
    return { types: { Stored: packOf(dtype, packSize) }, constants, fragments: [by.plain] };
  }
  const long = dtype === "f32" ? fragments.longF32 : fragments.longF16;
  return { types: {}, constants, fragments: [long, by.long] };
}

function packOf(dtype: Dtype, packSize: 1 | 4): string {
  return packSize === 4 ? `vec4<${dtype}>` : dtype;
}

function quantized(dtype: keyof typeof BITS, ...ofRows: string[]): Parts {
  return {
    types: { Stored: storedType(dtype) },
    constants: { BITS: BITS[dtype] },
    fragments: [fragments.quantizedRow, ...ofRows],
  };
}
