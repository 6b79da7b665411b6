import { checkBoolean, checkInteger, checkObject } from "../base/check.ts";

/** The kind of device that a plan is for: what planning knows of it beyond its limits. */
export interface DeviceProfile {
  /** Whether the device is a program on the CPU, where every load is dear and workgroup memory is no faster. */
  isSoftware: boolean;
  /** Invocations of the smallest subgroup; 0 where there are no subgroup operations. */
  subgroupSize: number;
  /**
   * Whether keys, values and weights are loaded as integers of 64 bits: on software, where a load takes as long for each of
   * its elements whatever their size.
   */
  longLoads: boolean;
  /** The block that its matrix units multiply at once, factors in f16 and sums in f32; absent where none can be used. */
  matrix?: MatrixBlock;
}

/** The matrices that matrix units multiply at once: `[m, k]` by `[k, n]`. */
export interface MatrixBlock {
  /** Rows of the product. */
  m: number;
  /** Columns of the product. */
  n: number;
  /** Products that are added up for each of its elements. */
  k: number;
}

/** A GPU without subgroup operations. */
export const PLAIN_GPU: DeviceProfile = { isSoftware: false, subgroupSize: 0, longLoads: false };

/** Throws unless a profile says what planning asks of it. */
export function checkProfile(action: string, profile: DeviceProfile): void {
  checkObject(action, "profile", profile);
  const { isSoftware, subgroupSize, longLoads, matrix } = profile;
  checkBoolean(action, "profile.isSoftware", isSoftware);
  checkInteger(action, "profile.subgroupSize", subgroupSize, 0);
  checkBoolean(action, "profile.longLoads", longLoads);
  if (matrix === undefined) return;
  checkObject(action, "profile.matrix", matrix);
  for (const side of ["m", "n", "k"] as const) {
    checkInteger(action, `profile.matrix.${side}`, matrix[side]);
  }
}

/** Invocations of the smallest subgroup that WebGPU allows. */
export const SMALLEST_SUBGROUP = 4;

/**
 * Rounds of loops that an invocation may make, over all its loops: Mesa's lavapipe ends them after 65,535, and goes on as
 * if nothing had happened (LP_MAX_TGSI_LOOP_ITERATIONS).
 */
export function loopRounds({ isSoftware }: DeviceProfile): number {
  return isSoftware ? 60_000 : Infinity;
}
