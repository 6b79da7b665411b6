/** What kernels are composed with to write and to read keys and values of each element type. */
import { fragments } from "../kernels/mod.ts";
import { BITS, isQuantized, quantizedWords } from "./_quantized.ts";
import type { WgslModule } from "./_wgsl.ts";
import type { KvDtype } from "./tensor.ts";

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

/** What declares `k` and `v` and reads them by `keyAt` and `valueAt`, `packSize` elements at a time. */
export function kvReads(dtype: KvDtype, packSize: 1 | 4): Parts {
  if (isQuantized(dtype)) return quantized(dtype, fragments.kvQuantized);
  const Stored = packSize === 4 ? `vec4<${dtype}>` : dtype;
  return { types: { Stored }, constants: {}, fragments: [fragments.kvPlain] };
}

/** What `store`s a new row. */
export function kvStores(dtype: KvDtype): Parts {
  if (isQuantized(dtype)) return quantized(dtype, fragments.storeQuantized);
  return { types: { Stored: storedType(dtype) }, constants: {}, fragments: [fragments.storePlain] };
}

function quantized(dtype: keyof typeof BITS, fragment: string): Parts {
  return {
    types: { Stored: storedType(dtype) },
    constants: { BITS: BITS[dtype] },
    fragments: [fragments.quantizedRow, fragment],
  };
}
