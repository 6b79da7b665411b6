/** The gradients of attention as a program. */
import { type Grid, gridOfRows } from "../gpu/bound_work.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import type { AttentionGradientPlan } from "../plan/backward.ts";
import { fusedPackSize } from "../plan/fused_tile.ts";
import { numRows } from "../plan/plan_base.ts";
import {
  keyValueGradientsModule,
  PLAIN_WORKGROUP,
  queryGradientsModule,
  rowDotsModule,
  sumSlicesModule,
} from "./gradient_module.ts";
import { paramsOf, type Program, type ProgramDispatch, uniformsOf } from "./program.ts";

/** The program of a plan. */
export function gradientProgram(
  plan: AttentionGradientPlan,
  { maxComputeWorkgroupsPerDimension: most }: PlanLimits,
): Program {
  const { spec, tile, slices, scratch } = plan;
  const { batch, numHeads, numKvHeads, seqLen, capacity, headDim, valueDim } = spec;
  const held = tile.rows * tile.rowGroups;
  const heads = batch * numKvHeads;
  const rowTiles = heads * Math.ceil(numHeads / numKvHeads * seqLen / held);
  const columnTiles = heads * Math.ceil(capacity / held);
  const packs = (rows: number, size: number) => rows * size / fusedPackSize(spec);
  const [ofKeys, ofValues] = [headDim, valueDim].map((size) => packs(heads * capacity, size));
  const ofQueries = packs(numRows(spec), headDim);
  const blocks = (elements: number): Grid =>
    gridOfRows(Math.ceil(elements / PLAIN_WORKGROUP), most);
  const tiles = (slices: number, count: number): Grid => {
    const [y, z] = gridOfRows(count, most);
    return [slices, y, z];
  };
  const common = paramsOf(plan);
  const sums = [
    { name: "dk", kernel: "sumKeys", stride: ofKeys + ofValues, first: 0, count: ofKeys },
    { name: "dv", kernel: "sumKeys", stride: ofKeys + ofValues, first: ofKeys, count: ofValues },
    { name: "dq", kernel: "sumQueries", stride: ofQueries, first: 0, count: ofQueries },
  ].filter(({ name }) => name !== "dq" || slices.queries > 1);
  const ofPlan = { params: 0, part: 0 };
  return {
    modules: {
      rowDots: rowDotsModule(plan),
      queries: queryGradientsModule(plan),
      keysAndValues: keyValueGradientsModule(plan),
      sumKeys: sumSlicesModule(plan, spec.kvDtype as "f32" | "f16"),
      ...(slices.queries > 1 && { sumQueries: sumSlicesModule(plan, spec.dtype) }),
    },
    params: [
      { kernel: "queries", values: common },
      ...sums.map(({ kernel, stride, first, count }) => ({
        kernel,
        values: { stride, first, count },
      })),
    ],
    uniforms: uniformsOf(plan),
    scratch,
    dispatches: [
      { ...ofPlan, kernel: "rowDots", grid: blocks(numRows(spec)) },
      {
        ...{ ...ofPlan, kernel: "queries", grid: tiles(slices.queries, rowTiles) },
        ...(slices.queries > 1 && { renamed: { dq: "queryPartials" } }),
      },
      { ...ofPlan, kernel: "keysAndValues", grid: tiles(slices.keys, columnTiles) },
      ...sums.map(({ name, kernel, count }, i): ProgramDispatch => ({
        ...{ kernel, grid: blocks(count), params: i + 1, part: 0 },
        renamed: {
          gradient: name,
          ...(kernel === "sumQueries" && { partials: "queryPartials" }),
        },
      })),
    ],
  };
}
