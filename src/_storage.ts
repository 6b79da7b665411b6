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
 * What declares `k` and `v` and reads them by `keyAt` and `valueAt`, `packSize` elements at a time; keys as factors of
 * products in `products`.
 */
export function kvReads(dtype: KvDtype, packSize: 1 | 4, products: Dtype = "f32"): Parts {
  const { kvPlain: plain, kvQuantized } = fragments;
  const parts = reads(dtype, packSize, { plain, quantized: kvQuantized });
  return { ...parts, types: { ...parts.types, Factor: packOf(products, packSize) } };
}

/** What declares `w` and reads it by `weightAt`, `packSize` elements at a time. */
export function weightReads(dtype: KvDtype, packSize: 1 | 4): Parts {
  const { weightPlain: plain, weightQuantized } = fragments;
  return reads(dtype, packSize, { plain, quantized: weightQuantized });
}

/** What `store`s a new row. */
export function kvStores(dtype: KvDtype): Parts {
  if (isQuantized(dtype)) return quantized(dtype, fragments.storeQuantized);
  return { types: { Stored: storedType(dtype) }, constants: {}, fragments: [fragments.storePlain] };
}

function reads(
  dtype: KvDtype,
  packSize: 1 | 4,
  by: { plain: string; quantized: string },
): Parts {
  if (isQuantized(dtype)) return quantized(dtype, fragments.quantizedPack, by.quantized);
  return { types: { Stored: packOf(dtype, packSize) }, constants: {}, fragments: [by.plain] };
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
