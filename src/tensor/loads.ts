/** What a load of stored numbers brings. */
import type { KvDtype } from "./dtype.ts";
import type { DeviceProfile } from "../gpu/profile.ts";

/** Elements of a head in a pack: what kernels compute with at once, and what a load brings one or two of. */
export function packSize(headDim: number): 1 | 4 {
  return headDim % 4 === 0 ? 4 : 1;
}

/**
 * What a load of stored numbers brings: a pack of them, or two packs as integers of 32 or 64 bits, to be taken apart in
 * registers.
 */
export type Loads = "packs" | "u32" | "u64";

/** What loads of rows of `size` numbers in `dtype` should bring: 16 bytes on a GPU, as much as one lane loads at once. */
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
export function loadPacks(loads: Loads): 1 | 2 {
  return loads === "packs" ? 1 : 2;
}
