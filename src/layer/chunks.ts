/** Sums that are cut into chunks, so that kernels with few outputs fill a device. */
import { type DeviceProfile, loopRounds } from "../gpu/profile.ts";

/** Workgroups that keep a device busy. */
const FILLING = { software: 16, gpu: 512 };
/** Fewest terms of a chunk: fewer would cost more to add up than they save. */
const LEAST_TERMS = 64;

/** The cut of a sum. */
export interface Chunks {
  /** Chunks of the sum. */
  count: number;
  /** Terms of each, of which the last may have fewer. */
  size: number;
}

/** Cuts sums of `terms` terms, all of which `workgroups` workgroups would compute without a cut. */
export function chunksOf(profile: DeviceProfile, terms: number, workgroups: number): Chunks {
  const filling = profile.isSoftware ? FILLING.software : FILLING.gpu;
  const wanted = Math.min(Math.ceil(filling / workgroups), Math.ceil(terms / LEAST_TERMS));
  const size = Math.min(Math.ceil(terms / wanted), loopRounds(profile));
  return { count: Math.ceil(terms / size), size };
}
