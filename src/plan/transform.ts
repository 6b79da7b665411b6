/** Attention over transformed keys and values: kernels of their own take queries into the transform, and outputs out of it. */
import { sentence } from "../base/check.ts";
import { isTransformed } from "../cache/kv_transform.ts";
import { type Grid, gridOfRows } from "../gpu/bound_work.ts";
import { loadPacks, type Loads } from "../tensor/loads.ts";
import type { PlanDevice } from "./plan_base.ts";
import { stateBytes } from "./slices.ts";
import { ACTION, type FilledSpec } from "./spec.ts";

/** The way of queries into the transform, and of outputs out of it. */
export interface TransformPlan {
  /** Elements from one transformed query to the next: its own, a load that begins with its shift, and one with its total. */
  queryWidth: number;
  /** A workgroup for each query row. */
  grid: Grid;
  /** Bytes of the transformed queries, in f32. */
  queryBytes: number;
}

/** Invocations of a workgroup that transforms a row. */
export const TRANSFORM_WORKGROUP = 64;

/**
 * Plans the transform; undefined where keys and values are stored as they were appended.
 *
 * @throws {RangeError} If the transformed queries do not fit a binding or the scratch.
 */
export function planTransform(
  spec: FilledSpec,
  { packSize, loads }: { packSize: 1 | 4; loads: Loads },
  { limits }: Pick<PlanDevice, "limits">,
): TransformPlan | undefined {
  if (!isTransformed(spec)) return undefined;
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = limits;
  const queryWidth = spec.headDim + 2 * packSize * loadPacks(loads);
  const queryBytes = spec.numRows * queryWidth * 4;
  const most = Math.min(maxStorageBufferBindingSize, spec.maxScratchBytes);
  if (queryBytes + stateBytes(spec) > most) {
    throw new RangeError(
      sentence(
        ACTION,
        "scratch must hold the queries and outputs of calibrated or rotated keys and values (attend to fewer tokens at once, " +
          "or raise maxScratchBytes)",
        {
          bytes: queryBytes + stateBytes(spec),
          ...{ maxScratchBytes: spec.maxScratchBytes, maxStorageBufferBindingSize },
        },
      ),
    );
  }
  const grid = gridOfRows(spec.numRows, maxComputeWorkgroupsPerDimension);
  return { queryWidth, grid, queryBytes };
}
