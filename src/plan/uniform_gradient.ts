/** The tile of a gradient whose lanes own rows and read those that pass by from uniform bindings. */
import type { ScoreGradient } from "./backward_spec.ts";
import { type GradientTile, ROW_STATE_BYTES } from "./backward_tile.ts";
import type { PlanDevice } from "./plan_base.ts";
import type { FilledSpec } from "./spec.ts";
import { type UniformRanges, uniformRanges } from "./uniform_ranges.ts";
import { keyUnits, SOFTWARE_LANES, suitsUniforms } from "./uniform_tile.ts";

/** The ranges of what passes by. */
export interface UniformPassing {
  /** For dq: keys and values, of as many heads at once as `keyUnits` says. */
  keys: UniformRanges;
  /** For dk and dv: queries, dO and their states, of as many sequences at once. */
  queries: UniformRanges;
}

/** The tile whose passing rows are uniform; undefined where loads from storage are as cheap, or rows do not fit. */
export function planUniformGradient(
  spec: FilledSpec,
  gradients: readonly ScoreGradient[],
  { profile }: PlanDevice,
): { tile: GradientTile; uniform: UniformPassing } | undefined {
  // Tiles of a bias have lanes that share rows.
  const isOther = spec.impl === "staged" || gradients.includes("dBias");
  if (isOther || !suitsUniforms(spec, profile)) return undefined;
  const { batch, numHeads, seqLen, headDim, valueDim } = spec;
  const keys = uniformRanges(keyUnits(spec));
  const queries = uniformRanges({
    ...{ count: batch, rows: numHeads * seqLen },
    rowBytes: [4 * headDim, 4 * valueDim, ROW_STATE_BYTES],
  });
  if (!keys || !queries) return undefined;
  const tile: GradientTile = {
    ...{ rows: 4, rowGroups: SOFTWARE_LANES, lanes: 1, keys: 2, sharers: 0, strips: 1, columns: 2 },
    ...{ shuffles: false, loads: "packs" },
  };
  return { tile, uniform: { keys, queries } };
}
