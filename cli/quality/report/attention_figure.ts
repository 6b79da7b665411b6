/** Attention maps, as a specification of Vega-Lite. */
import type { TopLevelSpec } from "vega-lite";
import { CONFIG, STYLES } from "../../shared/report/style.ts";

/** By KV head, again and again. */
const COLORS = [STYLES.mqa.color, STYLES.mha.color, STYLES.gqa.color];
/** Maps side by side; those that share keys and values stay in one line. */
const COLUMNS = 4;
const CELL = 9;
/** Less attention than this cannot be seen. */
const VISIBLE = 0.01;

/** The attention weights of a layer's query heads. */
export interface AttentionMaps {
  layer: number;
  numHeads: number;
  numKvHeads: number;
  /** The query heads that are shown. */
  heads: readonly number[];
  /** Text of each token. */
  tokens: readonly string[];
  /** [numHeads, tokens, tokens] */
  weights: Float64Array;
}

/** A map for each head: rows are queries, columns keys; the darker, the more attention. Colours tell which K/V head is read. */
export function attentionFigure(maps: AttentionMaps): TopLevelSpec {
  const { layer, numHeads, numKvHeads, heads, tokens, weights } = maps;
  const groupSize = numHeads / numKvHeads;
  const size = tokens.length;
  const positions = tokens.map((_, i) => i);
  const axis = {
    title: null,
    values: positions,
    labelExpr: `${JSON.stringify(tokens)}[datum.value]`,
    labelFontSize: CELL - 1,
    labelOverlap: false,
    ticks: false,
    domain: false,
  };
  return {
    background: "transparent",
    padding: 8,
    config: CONFIG,
    title: {
      text: `Attention of layer ${layer}: ${numHeads} query heads over ${numKvHeads} KV heads`,
      subtitle: [
        "Rows are queries, columns are keys; the darker, the more attention.",
        "Neighbours of one colour read the same keys and values, and yet attend differently.",
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
            weight: Number(weights[head * size * size + i].toFixed(2)),
          })).filter(({ weight }) => weight >= VISIBLE),
        },
        mark: { type: "rect", aria: false, color: COLORS[kvHead % COLORS.length] },
        encoding: {
          x: {
            field: "key",
            type: "ordinal",
            scale: { domain: positions },
            axis: { ...axis, labelAngle: -90 },
          },
          y: { field: "query", type: "ordinal", scale: { domain: positions }, axis },
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
