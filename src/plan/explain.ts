import { checkObject, sentence } from "../base/check.ts";
import { fusedDispatches, stagedDispatches } from "./dispatches.ts";
import type { Grid } from "../gpu/bound_work.ts";
import { loadPacks, type Loads } from "../tensor/loads.ts";
import { rowsPerKvHead } from "./plan_base.ts";
import { movedBytes, operations } from "./counts.ts";
import { type AttentionPlan, isPlanned } from "./plan.ts";
import type { FusedPlan } from "./fused.ts";
import { texelBytes } from "./texels.ts";
import type { StagedPlan } from "./staged.ts";

/**
 * Describes a plan for people: the implementation and the reason for it, tiles, grids, scratch, and the least work.
 *
 * The least work is that of any implementation over a full context: q, K and V read once, outputs written once, two
 * multiply-adds for each visible pair and element.
 *
 * @param plan From `planAttention`, or `Attention.plan`.
 * @returns Lines of text, without a newline at the end.
 * @throws {TypeError} If it is from elsewhere, or a copy.
 *
 * @example
 * ```ts
 * import { explain, planAttention } from "@onehead/attention";
 *
 * const plan = planAttention(
 *   { numHeads: 32, numKvHeads: 1, headDim: 128, capacity: 4096 },
 *   {
 *     maxStorageBufferBindingSize: 128 * 2 ** 20,
 *     maxComputeInvocationsPerWorkgroup: 256,
 *     maxComputeWorkgroupStorageSize: 16384,
 *     maxComputeWorkgroupsPerDimension: 65535,
 *   },
 * );
 * console.log(explain(plan)); // fused       as nothing but the output is asked for ...
 * ```
 */
export function explain(plan: AttentionPlan): string {
  checkObject("explain", "plan", plan);
  if (!isPlanned(plan)) {
    const rule = "plan must be one that planAttention gave, and no copy";
    throw new TypeError(sentence("explain", rule, { plan }));
  }
  const rows: [label: string, text: string][] = [
    [plan.impl, `as ${plan.reason}`],
    ["attention", shapes(plan)],
    ...(plan.impl === "fused" ? fusedRows(plan) : stagedRows(plan)),
    ["scratch", `${count(plan.scratchBytes)} bytes`],
    ["moves", `${count(movedBytes(plan))} bytes at least`],
    ["computes", `${count(operations(plan))} operations at least`],
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, text]) => `${label.padEnd(width)}  ${text}`).join("\n");
}

function shapes({ spec, groupSize, contextLen }: AttentionPlan): string {
  const { batch, numHeads, numKvHeads, headDim, valueDim, seqLen, dtype, causal, window } = spec;
  const { valuesAre, scoreMod, maskMod, tokens } = spec;
  const rows = tokens === undefined
    ? `${seqLen}`
    : `${tokens} end to end, ${seqLen} of a sequence,`;
  const whose = valuesAre === "keys" ? ` of them` : "";
  const sizes = valueDim === headDim && whose === ""
    ? `${headDim}`
    : `${headDim}, values of ${valueDim}${whose}`;
  return [
    `${numHeads} query heads over ${numKvHeads} (groups of ${groupSize}) of size ${sizes}`,
    `batch ${batch}`,
    `${rows} new of up to ${contextLen} tokens`,
    dtype,
    causal ? "causal" : "not causal",
    ...(window === undefined ? [] : [`window ${window}`]),
    ...(scoreMod ? [`scoreMod ${scoreMod.name}`] : []),
    ...(maskMod ? [`maskMod ${maskMod.name}`] : []),
  ].join(", ");
}

function fusedRows(plan: FusedPlan): [string, string][] {
  const {
    rows,
    rowGroups,
    lanes,
    keys,
    strips,
    sharers,
    ownsColumns,
    shuffles,
    partners,
    keyChunk,
    columns,
    loads,
    slices,
  } = plan;
  return [
    [
      "tile",
      `${rows} x ${rowGroups} of the ${rowsPerKvHead(plan.spec)} rows of a KV head, ` +
      `${lanes} ${lanes === 1 ? "lane" : "lanes"} x ${keys} ${keys === 1 ? "key" : "keys"}`,
    ],
    [
      "lanes",
      [
        lanes === 1
          ? "exchange nothing"
          : `reduce ${shuffles ? "by subgroup shuffles" : "through workgroup memory"}`,
        ...(partners > 1 ? [`${partners} score a key together`] : []),
        sharers > 0 ? `${sharers} load rows for each other` : "each loads its own rows",
        ...(keyChunk > 0 ? [`keys by workgroup memory, ${keyChunk} loads at a time`] : []),
        ...(ownsColumns ? ["each sums up the values of its keys"] : []),
        ...(strips > 1 && !ownsColumns ? [`${strips} share elements of the value`] : []),
        ...(columns > 1 && !ownsColumns ? [`values of ${columns} columns at a time`] : []),
        ...(loads === "packs" ? [] : [loadsLine(loads)]),
      ].join(", "),
    ],
    ...bindingsRow(plan),
    ...productsRow(plan),
    ["slices", `${slices} of the context` + (slices === 1 ? "" : ", merged")],
    ["dispatches", grids(fusedDispatches(plan))],
  ];
}

function bindingsRow({ uniform, texels }: FusedPlan): [string, string][] {
  if (texels) {
    const names = texels.map(({ name }) => name).join(", ").replace(/, (\w)$/, " and $1");
    const textures = `textures of ${count(texelBytes(texels))} bytes`;
    return [["bindings", `${names} brought to ${textures}, whose loads are cheap in software`]];
  }
  if (!uniform) return [];
  const { ranges, rows } = uniform;
  const bound = `${ranges.length} x ${rows} rows of keys and values bound as uniforms`;
  const otherwise = "buffers made without usage UNIFORM as storage, in four times the time";
  return [["bindings", `${bound}, whose loads are the cheapest of software; ${otherwise}`]];
}

function productsRow({ spec, matrix }: FusedPlan): [string, string][] {
  if (matrix) {
    const { m, n, k } = matrix;
    return [["products", `in f16 on matrix units, ${m} x ${k} by ${k} x ${n}, added up in f32`]];
  }
  if (spec.arithmetic === "f32") return [];
  return [["products", `of queries and keys in ${spec.arithmetic}, added up in f32`]];
}

function stagedRows(plan: StagedPlan): [string, string][] {
  const { rowTile, workgroup, valueLanes, blocks } = plan;
  return [
    [
      "tile",
      `${rowTile} of the ${
        rowsPerKvHead(plan.spec)
      } rows of a KV head; workgroups of ${workgroup.scores}, ` +
      `${workgroup.softmax} and ${workgroup.weightedSum}, ${valueLanes} lanes along the value`,
    ],
    ["blocks", `${blocks.length} of rows`],
    ["dispatches", grids(stagedDispatches(plan))],
  ];
}

/** The numbers that a load brings, and the integers that it is of. */
function loadsLine(loads: Loads): string {
  return `loads of ${4 * loadPacks(loads)} numbers as ${loads === "words" ? "u64" : loads}`;
}

/** The number of dispatches, and the grids of the first few: blocks repeat. */
function grids(dispatches: readonly { kernel: string; grid: Grid }[]): string {
  const shown = dispatches.slice(0, 3).map(({ kernel, grid }) => `${kernel} ${grid.join(" x ")}`);
  const rest = dispatches.length > shown.length ? ", ..." : "";
  return `${dispatches.length}: ${shown.join(", ")}${rest}`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
