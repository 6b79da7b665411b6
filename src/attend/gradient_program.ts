/** The gradients of attention as a program. */
import { type Grid, gridOfRows } from "../gpu/bound_work.ts";
import type { WgslModule } from "../gpu/compose.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import type { AttentionGradientPlan } from "../plan/backward.ts";
import { fusedPackSize } from "../plan/fused_tile.ts";
import { numRows } from "../plan/plan_base.ts";
import { leadingAxes } from "../score/score_spec.ts";
import { type Dtype, elementCount } from "../tensor/dtype.ts";
import {
  biasGradientsModule,
  headGradientsModule,
  keyValueGradientsModule,
  PLAIN_WORKGROUP,
  queryGradientsModule,
  rowDotsModule,
  sumSlicesModule,
} from "./gradient_module.ts";
import { paramsOf, type Program, uniformsOf } from "./program.ts";

/** A run of a kernel of its own, and what it binds by other names. */
interface Step {
  module: WgslModule;
  grid: Grid;
  renamed?: Readonly<Record<string, string>>;
}

/** The sum of the slices of a gradient: where its packs lie in those of a slice. */
interface SlicedGradient {
  gradient: string;
  partials: string;
  dtype: Dtype;
  packSize: 1 | 4;
  stride: number;
  first: number;
  count: number;
}

/** The program of a plan. */
export function gradientProgram(plan: AttentionGradientPlan, limits: PlanLimits): Program {
  const steps = stepsOf(plan, limits);
  const sums = sumsOf(plan);
  const nameOfSum = ({ dtype, packSize }: SlicedGradient) => `sum of ${packSize} ${dtype}`;
  const modules = [
    ...steps.map(({ module }, i) => [`${i}`, module] as const),
    ...sums.map((sum) => [nameOfSum(sum), sumSlicesModule(sum.dtype, sum.packSize)] as const),
  ];
  const most = limits.maxComputeWorkgroupsPerDimension;
  return {
    modules: Object.fromEntries(modules),
    params: [
      { kernel: "0", values: paramsOf(plan) },
      ...sums.map((sum) => {
        const { stride, first, count } = sum;
        return { kernel: nameOfSum(sum), values: { stride, first, count } };
      }),
    ],
    uniforms: uniformsOf(plan),
    scratch: plan.scratch,
    dispatches: [
      ...steps.map(({ grid, renamed }, i) => ({
        ...{ kernel: `${i}`, grid, params: 0, part: 0 },
        ...(renamed && { renamed }),
      })),
      ...sums.map((sum, i) => ({
        ...{ kernel: nameOfSum(sum), grid: blocks(sum.count, most), params: i + 1, part: 0 },
        renamed: { gradient: sum.gradient, partials: sum.partials },
      })),
    ],
  };
}

function stepsOf(
  plan: AttentionGradientPlan,
  { maxComputeWorkgroupsPerDimension: most }: PlanLimits,
): Step[] {
  const { spec, tile, slices, gradients } = plan;
  const { batch, numHeads, numKvHeads, seqLen, capacity } = spec;
  const held = tile.rows * tile.rowGroups;
  const tiles = (slices: number, tilesOfHead: number, heads = batch * numKvHeads): Grid => {
    const [y, z] = gridOfRows(heads * tilesOfHead, most);
    return [slices, y, z];
  };
  const steps: Step[] = [
    { module: rowDotsModule(plan), grid: blocks(numRows(spec), most) },
    {
      module: queryGradientsModule(plan),
      grid: tiles(slices.queries, Math.ceil(numHeads / numKvHeads * seqLen / held)),
      ...(slices.queries > 1 && { renamed: { dq: "queryPartials" } }),
    },
    {
      module: keyValueGradientsModule(plan),
      grid: tiles(slices.keys, Math.ceil(capacity / held)),
    },
  ];
  if (gradients.includes("dBias")) {
    const [batches, heads, tokens] = leadingAxes(spec.bias!);
    const across = Math.ceil(spec.bias!.at(-1)! / (tile.lanes * tile.keys));
    steps.push({
      module: biasGradientsModule(plan),
      grid: tiles(slices.bias, across * Math.ceil(tokens / tile.rows), batches * heads),
      ...(slices.bias > 1 && { renamed: { dBias: "biasPartials" } }),
    });
  }
  for (const name of ["dAlibiSlopes", "dSinkLogits"] as const) {
    if (!gradients.includes(name)) continue;
    const module = headGradientsModule(plan, name);
    steps.push({ module, grid: [numHeads, 1], renamed: { headGradient: name } });
  }
  return steps;
}

function sumsOf({ spec, slices, gradients }: AttentionGradientPlan): SlicedGradient[] {
  const { batch, numKvHeads, capacity, headDim, valueDim, dtype } = spec;
  const packSize = fusedPackSize(spec);
  const [ofKeys, ofValues] = [headDim, valueDim].map((size) =>
    batch * numKvHeads * capacity * size / packSize
  );
  const kv = {
    ...{ partials: "partials", dtype: spec.kvDtype as Dtype, packSize, stride: ofKeys + ofValues },
  };
  const whole = (count: number) => ({ dtype, stride: count, first: 0, count });
  const ofQueries = whole(numRows(spec) * headDim / packSize);
  const sums: SlicedGradient[] = [
    { ...kv, gradient: "dk", first: 0, count: ofKeys },
    { ...kv, gradient: "dv", first: ofKeys, count: ofValues },
  ];
  if (slices.queries > 1) {
    sums.push({ gradient: "dq", partials: "queryPartials", packSize, ...ofQueries });
  }
  if (gradients.includes("dBias") && slices.bias > 1) {
    const ofBias = whole(elementCount(spec.bias!));
    sums.push({ gradient: "dBias", partials: "biasPartials", packSize: 1, ...ofBias });
  }
  return sums;
}

/** A grid of workgroups, each of which works on a block of rows or packs. */
function blocks(elements: number, most: number): Grid {
  return gridOfRows(Math.ceil(elements / PLAIN_WORKGROUP), most);
}
