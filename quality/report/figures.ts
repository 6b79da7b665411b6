/** The pictures, as specifications of Vega-Lite. */
import type { TopLevelSpec } from "vega-lite";
import { CONFIG, FAINT_GREY, GREY, STYLES } from "../../bench/report/style.ts";
import { shortBytes } from "../../planner/report/units.ts";
import type { Report, Row } from "../result.ts";
import type { Change } from "../variants.ts";

const FRAME = { background: "transparent", padding: 8, config: CONFIG };
const COLORS = [STYLES.mqa.color, STYLES.mha.color, STYLES.gqa.color];
const CHANGES: Readonly<Record<Change, { color: string; shape: string }>> = {
  none: { color: GREY, shape: "diamond" },
  "cache dtype": STYLES.gqa,
  window: STYLES.mqa,
  "KV heads": STYLES.mha,
};
/** Maps side by side; those that share keys and values stay in one line. */
const COLUMNS = 4;
const CELL = 9;

/** Perplexity against the bytes of the cache, a point for each change. */
export function tradeoffFigure({ model, text, rows }: Report): TopLevelSpec {
  const values = rows.map((row) => ({
    ...{ change: row.change, bytes: row.cacheBytes, perplexity: row.perplexity },
    label: labelOf(row),
  }));
  const domain = Object.keys(CHANGES) as Change[];
  const positions = {
    x: {
      field: "bytes",
      type: "quantitative" as const,
      scale: { type: "log" as const, base: 2, nice: false, padding: 40 },
      axis: {
        title: "KV cache",
        values: rows.map(({ cacheBytes }) => cacheBytes),
        labelExpr: labelsOf(
          new Map(rows.map(({ cacheBytes: bytes }) => [bytes, shortBytes(bytes)])),
        ),
      },
    },
    y: {
      field: "perplexity",
      type: "quantitative" as const,
      scale: { type: "log" as const, nice: false, padding: 16 },
      axis: { title: "perplexity", tickCount: 6, format: "~s" },
    },
  };
  const field = { field: "change", type: "nominal" as const };
  return {
    ...FRAME,
    title: {
      text: "What a smaller KV cache costs",
      subtitle:
        `${model}, ${text.tokens} tokens of ${text.source}; below and to the left is better`,
      offset: 10,
      fontSize: 16,
    },
    width: 620,
    height: 300,
    data: { values },
    encoding: positions,
    layer: [
      {
        mark: { type: "point", filled: true, size: 60, opacity: 1 },
        encoding: {
          color: { ...field, scale: { domain, range: domain.map((name) => CHANGES[name].color) } },
          shape: { ...field, scale: { domain, range: domain.map((name) => CHANGES[name].shape) } },
        },
      },
      {
        mark: { type: "text", align: "left", dx: 8, fontSize: 11, color: GREY },
        encoding: { text: { field: "label" } },
      },
    ],
  } as TopLevelSpec;
}

function labelOf({ change, kvDtype, window, sinks, numKvHeads, pool }: Row): string {
  switch (change) {
    case "none":
      return "as trained";
    case "cache dtype":
      return kvDtype;
    case "window":
      return sinks ? `${window} + ${sinks}` : `${window}`;
    case "KV heads":
      return `${numKvHeads} ${pool}`;
  }
}

/** What a layer's query heads attend to. */
export interface AttentionMaps {
  model: string;
  layer: number;
  numHeads: number;
  numKvHeads: number;
  /** Which query heads to show. */
  heads: readonly number[];
  /** Text of each token. */
  tokens: readonly string[];
  /** [numHeads, tokens, tokens] */
  weights: Float64Array;
}

/** A map for each head: rows are queries, columns keys; the darker, the more attention. Colours tell which K/V head is read. */
export function attentionFigure(maps: AttentionMaps): TopLevelSpec {
  const { model, layer, numHeads, numKvHeads, heads, tokens, weights } = maps;
  const groupSize = numHeads / numKvHeads;
  const size = tokens.length;
  const axis = {
    title: null,
    values: tokens.map((_, i) => i),
    labelExpr: labelsOf(new Map(tokens.map((text, i) => [i, text]))),
    labelFontSize: CELL - 1,
    labelOverlap: false,
    ticks: false,
    domain: false,
  };
  return {
    ...FRAME,
    title: {
      text: `Attention of layer ${layer}: ${numHeads} query heads over ${numKvHeads} KV heads`,
      subtitle: [
        `${model}. Rows are queries, columns are keys; the darker, the more attention.`,
        "Heads of one colour read the same keys and values, and yet attend differently.",
      ],
      offset: 12,
      fontSize: 16,
    },
    columns: columnsFor(heads.length, groupSize),
    spacing: 16,
    concat: heads.map((head) => {
      const kvHead = Math.floor(head / groupSize);
      return {
        title: { text: `head ${head}, KV head ${kvHead}`, fontSize: 12 },
        width: { step: CELL },
        height: { step: CELL },
        data: {
          values: Array.from({ length: size * size }, (_, i) => ({
            query: Math.floor(i / size),
            key: i % size,
            weight: Number(weights[head * size * size + i].toFixed(3)),
          })).filter(({ query, key }) => key <= query),
        },
        mark: {
          type: "rect",
          color: COLORS[kvHead % COLORS.length],
          stroke: FAINT_GREY,
          strokeWidth: 0.25,
        },
        encoding: {
          x: { field: "key", type: "ordinal", axis: { ...axis, labelAngle: -90 } },
          y: { field: "query", type: "ordinal", axis },
          fillOpacity: {
            field: "weight",
            type: "quantitative",
            scale: { domain: [0, 1], range: [0, 1] },
            legend: null,
          },
        },
      };
    }),
  } as TopLevelSpec;
}

/** As many maps in a line as whole groups fit, or as there is room for. */
function columnsFor(maps: number, groupSize: number): number {
  const most = Math.min(COLUMNS, maps);
  return groupSize > most ? most : most - most % groupSize;
}

/** An expression that gives the text of a tick. */
function labelsOf(texts: ReadonlyMap<number, string>): string {
  return `${JSON.stringify(Object.fromEntries(texts))}[datum.value]`;
}
