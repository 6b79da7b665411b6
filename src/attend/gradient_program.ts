/** The gradients of attention as a program. */
import { type Grid, gridOfRows } from "../gpu/bound_work.ts";
import type { WgslModule } from "../gpu/compose.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import type { AttentionGradientPlan } from "../plan/backward.ts";
import { fusedPackSize } from "../plan/fused_tile.ts";
import { ROW_STATE_BYTES } from "../plan/backward_tile.ts";
import { FILL_KERNELS } from "../plan/dispatches.ts";
import { isOfQueries } from "../plan/texels.ts";
import { tilesPerKvHead } from "../plan/plan_base.ts";
import type { UniformPassing } from "../plan/uniform_gradient.ts";
import type { UniformRanges } from "../plan/uniform_ranges.ts";
import { headsOfUnit } from "../plan/uniform_tile.ts";
import { leadingAxes } from "../score/score_spec.ts";
import { type Dtype, elementCount } from "../tensor/dtype.ts";
import {
  biasGradientsModule,
  headGradientsModule,
  keyValueGradientsModule,
  PLAIN_WORKGROUP,
  queryGradientsModule,
  rowDotsModule,
  stagedGradientModules,
  sumSlicesModule,
} from "./gradient_module.ts";
import { type BoundRanges, boundRanges, paramsOf, type Program, uniformsOf } from "./program.ts";
import {
  FILL_NAMES,
  fillModule,
  type QueryFillParams,
  queryFillParams,
  textureLines,
  TEXTURES,
} from "./texel_fills.ts";

/** A run of a kernel, the parameters of its block where there are blocks, and what it binds by other names. */
interface Step {
  module: WgslModule;
  /** The name of its kernel, where that is not the label of its module. */
  kernel?: string;
  /** The module that binds `ranges` as storage. */
  stored?: WgslModule;
  grid: Grid;
  block?: Block;
  renamed?: Readonly<Record<string, string>>;
  ranges?: BoundRanges;
}

/** Parameters that differ between runs of a kernel, or between kernels. */
type Block =
  & Readonly<
    Partial<
      Record<
        "firstRow" | "scratchRow" | "firstTile" | "firstKvRow" | "firstQueryRow" | "slice",
        number
      >
    >
  >
  & Partial<QueryFillParams>;

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
  const most = limits.maxComputeWorkgroupsPerDimension;
  const steps = stepsOf(plan, most);
  const sums = sumsOf(plan).map((sum) => ({
    ...sum,
    module: sumSlicesModule(sum.dtype, sum.packSize),
    grid: blocksOf(sum.count, most),
  }));
  const [{ module: { label } }] = steps;
  const nameOf = ({ block = {} }: Step) => JSON.stringify(block);
  const blocks = new Map(steps.map((step) => [nameOf(step), step.block]));
  const names = [...blocks.keys()];
  const common = paramsOf(plan);
  return {
    modules: Object.fromEntries([
      ...steps.map((step) => [kernelOf(step), step.module]),
      ...sums.map(({ module }) => [module.label, module]),
      ...steps.flatMap(({ stored }) => stored ? [[storedName(stored), stored]] : []),
    ]),
    params: [
      ...[...blocks.values()].map((block) => ({ kernel: label, values: { ...common, ...block } })),
      ...sums.map(({ module, stride, first, count }) => ({
        ...{ kernel: module.label, values: { stride, first, count } },
      })),
    ],
    uniforms: uniformsOf(plan),
    scratch: plan.scratch,
    ...(plan.texels && { textures: textureLines(plan.texels) }),
    dispatches: [
      ...steps.map((step) => ({
        ...{ kernel: kernelOf(step), grid: step.grid, params: names.indexOf(nameOf(step)) },
        ...{ part: 0, renamed: step.renamed, ranges: step.ranges },
        ...(step.stored && { stored: storedName(step.stored) }),
      })),
      ...sums.map(({ module, grid, gradient, partials }, i) => ({
        ...{ kernel: module.label, grid, params: names.length + i, part: 0 },
        renamed: { gradient, partials },
      })),
    ],
  };
}

/** The name of the kernel of a step. */
function kernelOf({ module, kernel = module.label }: Step): string {
  return kernel;
}

/** The name of the kernel that binds as storage what another of its label binds as uniforms. */
function storedName({ label }: WgslModule): string {
  return `${label} of storage`;
}

function stepsOf(plan: AttentionGradientPlan, most: number): Step[] {
  const { spec, tile, slices, gradients } = plan;
  const steps: Step[] = [
    { module: rowDotsModule(plan), grid: blocksOf(spec.numRows, most) },
    ...fillSteps(plan),
    ...passSteps(plan, most),
  ];
  if (gradients.includes("dBias")) {
    const [batches, heads, tokens] = leadingAxes(spec.bias!);
    const across = Math.ceil(spec.bias!.at(-1)! / (tile.lanes * tile.keys));
    const tiles = batches * heads * Math.ceil(tokens / tile.rows) * across;
    steps.push({
      module: biasGradientsModule(plan),
      grid: sliced(slices.bias, tiles, most),
      renamed: { ...readsOf(plan), ...(slices.bias > 1 && { dBias: "biasPartials" }) },
    });
  }
  for (const name of ["dAlibiSlopes", "dSinkLogits"] as const) {
    if (!gradients.includes(name)) continue;
    const module = headGradientsModule(plan, name);
    steps.push({ module, grid: [spec.numHeads, 1], renamed: { headGradient: name } });
  }
  return steps;
}

/** Textures are filled, where there are some. */
function fillSteps({ spec, texels = [] }: AttentionGradientPlan): Step[] {
  return texels.map((fill) => ({
    ...{ module: fillModule(spec, fill), kernel: FILL_KERNELS[fill.name], grid: fill.grid },
    renamed: FILL_NAMES[FILL_KERNELS[fill.name]],
    ...(isOfQueries(fill.name) && { block: queryFillParams(spec) }),
  }));
}

/** The steps to dq, dk and dv. */
function passSteps(plan: AttentionGradientPlan, most: number): Step[] {
  if (plan.impl === "staged") return stagedSteps(plan);
  return plan.uniform ? uniformSteps(plan, plan.uniform, most) : fusedSteps(plan, most);
}

/** The textures that kernels bind, where there are some. */
function readsOf({ texels }: AttentionGradientPlan): Step["renamed"] {
  return texels && TEXTURES;
}

/** dq by tiles of query rows, dk and dv by tiles of keys. */
function fusedSteps(plan: AttentionGradientPlan, most: number): Step[] {
  const { spec: { batch, numHeads, numKvHeads, seqLen, capacity }, tile, slices } = plan;
  const held = tile.rows * tile.rowGroups;
  const tilesOf = (rowsOfHead: number) => batch * numKvHeads * Math.ceil(rowsOfHead / held);
  const rowTiles = tilesOf(numHeads / numKvHeads * seqLen);
  const module = keyValueGradientsModule(plan);
  const renamed = readsOf(plan);
  return [
    {
      module: queryGradientsModule(plan),
      grid: sliced(slices.queries, rowTiles, most),
      renamed: { ...renamed, ...(slices.queries > 1 && { dq: "queryPartials" }) },
    },
    ...Array.from({ length: slices.keys }, (_, slice) => ({
      ...{ module, grid: gridOfRows(tilesOf(capacity), most), block: { slice }, renamed },
    })),
  ];
}

/**
 * The same, for each range of what passes by as uniforms, in runs of at most `most` tiles: none has those of another range. A
 * binding holds so little that loops go round all of it: there are no slices.
 */
function uniformSteps(
  plan: AttentionGradientPlan,
  { keys, queries }: UniformPassing,
  most: number,
): Step[] {
  const { spec, tile } = plan;
  const { numKvHeads, capacity, headDim, valueDim } = spec;
  const held = tile.rows * tile.rowGroups;
  const tilesOfHead = { rows: tilesPerKvHead(spec, held), columns: Math.ceil(capacity / held) };
  const stepsOf = (
    moduleOf: (plan: AttentionGradientPlan, boundRows?: number) => WgslModule,
    { rows, ranges }: UniformRanges,
    tilesOfUnit: number,
    { first, bytes }: { first: "firstKvRow" | "firstQueryRow"; bytes: Record<string, number> },
  ) => {
    const [module, stored] = [moduleOf(plan, rows), moduleOf(plan)];
    return ranges.flatMap(({ firstUnit, numUnits, firstRow }) => {
      const count = numUnits * tilesOfUnit;
      return Array.from({ length: Math.ceil(count / most) }, (_, i): Step => {
        const tiles = Math.min(most, count - i * most);
        return {
          ...{ module, stored },
          block: { firstTile: firstUnit * tilesOfUnit + i * most, [first]: firstRow },
          grid: module.label === "query gradients" ? [1, tiles] : [tiles, 1],
          ranges: boundRanges(bytes, rows, firstRow),
        };
      });
    });
  };
  return [
    ...stepsOf(queryGradientsModule, keys, headsOfUnit(spec) * tilesOfHead.rows, {
      ...{ first: "firstKvRow", bytes: { k: 4 * headDim, v: 4 * valueDim } },
    }),
    ...stepsOf(keyValueGradientsModule, queries, numKvHeads * tilesOfHead.columns, {
      first: "firstQueryRow",
      bytes: { q: 4 * headDim, dO: 4 * valueDim, rowStates: ROW_STATE_BYTES },
    }),
  ];
}

/** For each block of rows all pairs, then the sums over them. */
function stagedSteps(plan: AttentionGradientPlan): Step[] {
  const { batch, numKvHeads, capacity, headDim, valueDim } = plan.spec;
  const { pairs, queries, keysAndValues } = stagedGradientModules(plan);
  const workgroups = (elements: number) => Math.ceil(elements / PLAIN_WORKGROUP);
  const packs = (elements: number) => workgroups(elements / fusedPackSize(plan.spec));
  const rows = plan.spec.numRows;
  return Array.from({ length: Math.ceil(rows / plan.blockRows) }, (_, i): Step[] => {
    const firstRow = i * plan.blockRows;
    const blockRows = Math.min(plan.blockRows, rows - firstRow);
    const block = { firstRow, scratchRow: firstRow };
    return [
      { module: pairs, block, grid: [workgroups(capacity), blockRows] },
      { module: queries, block, grid: [packs(headDim), blockRows] },
      {
        ...{ module: keysAndValues, block },
        grid: [packs(headDim + valueDim), capacity, batch * numKvHeads],
      },
    ];
  }).flat();
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
  const ofQueries = whole(spec.numRows * headDim / packSize);
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

/** A grid of slices by tiles. */
function sliced(slices: number, tiles: number, most: number): Grid {
  const [y, z] = gridOfRows(tiles, most);
  return [slices, y, z];
}

/** A grid of workgroups, each of which works on a block of rows or packs. */
function blocksOf(elements: number, most: number): Grid {
  return gridOfRows(Math.ceil(elements / PLAIN_WORKGROUP), most);
}
