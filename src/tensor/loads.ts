/** Loads of stored numbers, and the packs that they bring. */
import type { KvDtype } from "./dtype.ts";
import type { DeviceProfile } from "../gpu/profile.ts";

/** Elements of a head in a pack: kernels compute with a pack at once, and a load brings one or two. */
export function packSize(headDim: number): 1 | 4 {
  return headDim % 4 === 0 ? 4 : 1;
}

/**
 * A load of stored numbers: a pack of them, or two packs as integers of 32 or 64 bits, to be taken apart in registers; or
 * `"words"`, four packs of int8 as integers of 64 bits.
 */
export type Loads = "packs" | "u32" | "u64" | "words";

/** The loads of rows of `size` numbers in `dtype`: 16 bytes on a GPU, as much as one lane loads at once. */
export function loadsOf(
  { isSoftware, longLoads }: DeviceProfile,
  dtype: KvDtype,
  size: number,
): Loads {
  if (size % 8 !== 0 || dtype === "int8") return "packs";
  // A word is two packs of int4.
  if (dtype === "int4") return "u32";
  if (longLoads) return "u64";
  return dtype === "f16" && !isSoftware ? "u32" : "packs";
}

/** Packs that a load brings. */
export function loadPacks(loads: Loads): 1 | 2 | 4 {
  return ({ packs: 1, u32: 2, u64: 2, words: 4 } as const)[loads];
}
