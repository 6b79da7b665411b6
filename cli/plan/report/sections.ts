/** A plan in sections: each a table, most with a picture of it. What is printed, drawn and put on the page comes from here. */
import { alignDecimals, shortBytes } from "../../shared/report/units.ts";
import { type Column, left, right } from "../../shared/report/columns.ts";
import type { CachePlan, Plan, PlanCell, VariantPlan } from "../plan.ts";
import { fleetSections } from "./fleet_sections.ts";
import type { Section } from "../../shared/report/section.ts";
import { feasibleFigure } from "./figures/feasible.ts";
import { growthFigure } from "./figures/growth.ts";
import { parametersFigure } from "./figures/parameters.ts";
import { throughputFigure } from "./figures/throughput.ts";
import { shortCount } from "./units.ts";

/** The sentence with every table of a model whose layers are not known. */
const ASSUMED = "Assumed: a dense model, full attention and gated feed-forward in every layer; " +
  "windows, recurrent layers, experts and compressed keys, where it has some, are not counted.";

/** All sections of a plan; what fits is left out where the device's memory is not known. */
export function sectionsOf(plan: Plan): Section[] {
  const sections = [
    growth(plan),
    ...(plan.freeBytes === null ? [] : [feasible(plan)]),
    parameters(plan),
    groups(plan),
    decode(plan),
    ...(plan.fleet ? fleetSections(plan, plan.fleet) : []),
  ];
  if (!plan.model.isAssumed) return sections;
  return sections.map((section) => ({ ...section, text: `${section.text} ${ASSUMED}` }));
}

/** The model, the device and its memory, a line each. */
export function headOf({ model, device, weightBytes, freeBytes, activationBytes }: Plan): [
  label: string,
  text: string,
][] {
  const giga = (value: number) => `${Number((value / 1e9).toPrecision(4))}`;
  const heads = `${layersOf(model)}, ${model.numHeads} heads x ${model.headDim}, ` +
    (model.latent ? "latent keys and values" : `${model.numKvHeads} KV heads`);
  const rates =
    `${giga(device.bytesPerSecond)} GB/s, f32 ${giga(device.f32FlopsPerSecond)} Gflop/s, ` +
    `f16 ${giga(device.f16FlopsPerSecond)} Gflop/s`;
  const head: [string, string][] = [
    ["Model", `${model.name}: ${heads} (${model.source})`],
    ["GPU", `${device.name}: ${rates} (${device.source})`],
  ];
  if (device.memoryBytes !== undefined && freeBytes !== null) {
    head.push([
      "Memory",
      `${giga(device.memoryBytes)} GB (1e9 bytes); weights take ${giga(weightBytes)} and leave ${
        giga(freeBytes)
      } GB; activations ${shortBytes(activationBytes)} a sequence`,
    ]);
  }
  return head;
}

function layersOf({ numLayers, recurrentLayers = 0 }: Plan["model"]): string {
  const all = numLayers + recurrentLayers;
  return recurrentLayers === 0 ? `${all} layers` : `${all} layers (${numLayers} with attention)`;
}

function growth(plan: Plan): Section {
  const rows = cachesOf(plan);
  const contexts = rows[0].cache.largestBatches.map(({ contextLen }) => contextLen);
  return {
    id: "growth",
    title: "KV cache of one sequence",
    text: "Bytes of keys and values in all layers. Equal distances are equal ratios.",
    columns: [
      ...variantColumns(rows),
      right("per token", rows.map(({ cache }) => shortBytes(cache.bytesPerToken))),
      ...contexts.map((contextLen) =>
        right(
          shortCount(contextLen),
          rows.map(({ cache }) => {
            const [{ kvBytes, batch }] = cellsOf(cache, contextLen);
            return shortBytes(kvBytes / batch);
          }),
        )
      ),
    ],
    figure: growthFigure(plan),
  };
}

/** A row for each context of each cache. */
function cellRows(plan: Plan) {
  return cachesOf(plan).flatMap((row) =>
    row.cache.largestBatches.map(({ contextLen, batch }) => ({ ...row, contextLen, batch }))
  );
}

/** The columns before a row's cells, and one for each batch with what `textsOf` says of its cells. */
function cellColumns(
  plan: Plan,
  rows: ReturnType<typeof cellRows>,
  textsOf: (cells: readonly PlanCell[]) => string[],
): Column[] {
  return [
    ...variantColumns(rows),
    right("context", rows.map(({ contextLen }) => shortCount(contextLen))),
    ...plan.variants[0].caches[0].longestContexts.map(({ batch }, i) =>
      right(
        `batch ${batch}`,
        textsOf(rows.map(({ cache, contextLen }) => cellsOf(cache, contextLen)[i])),
      )
    ),
  ];
}

function feasible(plan: Plan): Section {
  const rows = cellRows(plan);
  return {
    id: "feasible",
    title: "What fits",
    text:
      "KV cache by context and batch; in brackets what does not fit beside weights and activations.",
    columns: [
      ...cellColumns(
        plan,
        rows,
        (cells) =>
          cells.map(({ kvBytes, fits }) => fits ? shortBytes(kvBytes) : `(${shortBytes(kvBytes)})`),
      ),
      right("largest batch", rows.map(({ batch }) => `${batch}`)),
    ],
    figure: feasibleFigure(plan),
  };
}

function parameters(plan: Plan): Section {
  const { model, variants } = plan;
  const count = (value: number) => value.toLocaleString("en-US");
  const total = variants.map(({ parameters }) => parameters.total);
  return {
    id: "parameters",
    title: "Parameters of one attention layer",
    text:
      "The projections of queries, keys, values and output; sharing heads shrinks those of keys and values.",
    columns: [
      left("variant", variants.map(({ label }) => label)),
      right("KV heads", variants.map(({ numKvHeads }) => `${numKvHeads}`)),
      ...(["q", "k", "v", "o", "total"] as const).map((name) =>
        right(name, variants.map(({ parameters }) => count(parameters[name])))
      ),
      right("all layers", total.map((value) => count(value * model.numLayers))),
    ],
    figure: parametersFigure(plan),
  };
}

function groups(plan: Plan): Section {
  const rows = plan.groups.flatMap(({ dtype, points }) =>
    points.map((point) => ({ dtype, ...point }))
  );
  const [{ contextLen }] = plan.groups;
  return {
    id: "throughput",
    title: "Decoding against the group size",
    text: `Attention of one sequence of ${
      shortCount(contextLen)
    } tokens, weights left aside, at the device's ceilings. Left of the corner it waits for memory, and sharing heads pays in proportion; right of it, for arithmetic in f32.`,
    columns: [
      left("dtype", rows.map(({ dtype }) => dtype)),
      right(
        "query heads per KV head",
        rows.map(({ groupSize }) => `${Number(groupSize.toPrecision(3))}`),
      ),
      right("tokens/s", alignDecimals(rows.map(({ tokensPerSecond }) => tokensPerSecond))),
      left("bound by", rows.map(({ bound }) => bound === "both" ? "both: the corner" : bound)),
    ],
    figure: throughputFigure(plan),
  };
}

function decode(plan: Plan): Section {
  const rows = cellRows(plan);
  return {
    id: "decode",
    title: "Decoding at the device's ceilings",
    text:
      "New tokens per second over the whole batch: attention, and everything else, which waits for the weights. A dash stands where the cache does not fit.",
    columns: [
      ...cellColumns(plan, rows, (cells) =>
        alignDecimals(
          cells.map(({ fits, tokensPerSecond }) => fits === false ? null : tokensPerSecond),
        )),
      left("attention bound by", rows.map(({ cache }) => cache.cells[0].bound)),
    ],
  };
}

interface Row {
  variant: VariantPlan;
  cache: CachePlan;
}

function cachesOf({ variants }: Plan): Row[] {
  return variants.flatMap((variant) => variant.caches.map((cache) => ({ variant, cache })));
}

function cellsOf({ cells }: CachePlan, contextLen: number) {
  return cells.filter((cell) => cell.contextLen === contextLen);
}

function variantColumns(rows: readonly Row[]): Column[] {
  return [
    left(
      "variant",
      rows.map(({ variant }) => variant.isOwn ? `${variant.label} *` : variant.label),
    ),
    left("dtype", rows.map(({ cache }) => cache.dtype)),
  ];
}
