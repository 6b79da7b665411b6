/** Sums that are cut into chunks, so that kernels with few outputs fill a device. */
import { type DeviceProfile, loopRounds } from "../gpu/profile.ts";

/** Workgroups that keep a device busy. */
const FILLING = { software: 16, gpu: 512 };

/** Options of {@linkcode chunksOf}. */
export interface ChunkOptions {
  /** Fewest terms of a chunk: fewer would cost more to add up than they save. The default is 64. */
  leastTerms?: number;
  /** Rounds of loops for each term. The default is 1. */
  rounds?: number;
}

/** The cut of a sum. */
export interface Chunks {
  /** Chunks of the sum. */
  count: number;
  /** Terms of each, of which the last may have fewer. */
  size: number;
}

/** Cuts sums of `terms` terms, all of which `workgroups` workgroups would compute without a cut. */
export function chunksOf(
  profile: DeviceProfile,
  terms: number,
  workgroups: number,
  { leastTerms = 64, rounds = 1 }: ChunkOptions = {},
): Chunks {
  const filling = profile.isSoftware ? FILLING.software : FILLING.gpu;
  const wanted = Math.min(Math.ceil(filling / workgroups), Math.ceil(terms / leastTerms));
  const size = Math.min(Math.ceil(terms / wanted), Math.floor(loopRounds(profile) / rounds));
  return { count: Math.ceil(terms / size), size };
}
