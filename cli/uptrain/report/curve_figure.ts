/** The curve of a training, as a specification of Vega-Lite. */
import type { TopLevelSpec } from "vega-lite";
import { CONFIG, GREY, STYLES } from "../../shared/report/style.ts";
import type { Report } from "../result.ts";

/** Perplexity of the held-out texts over the original's, against the tokens that were learned from. */
export function curveFigure({ stages, training }: Report): TopLevelSpec {
  const [original, converted] = stages;
  const measured = (training?.curve ?? []).flatMap(({ tokens, heldOut }) =>
    heldOut === undefined ? [] : [{ tokens, ratio: Math.exp(heldOut - original.nll) }]
  );
  const values = [
    { tokens: 0, ratio: converted.perplexity / original.perplexity },
    ...measured,
  ].map(({ tokens, ratio }) => ({ tokens, ratio: Number(ratio.toPrecision(5)) }));
  const color = STYLES.mqa.color;
  return {
    background: "transparent",
    padding: 8,
    config: CONFIG,
    title: {
      text: `${original.numKvHeads} KV heads become ${converted.numKvHeads}`,
      subtitle:
        `Perplexity over the original's on held-out texts (${converted.stage}, then trained)`,
      offset: 12,
    },
    width: 480,
    height: 280,
    data: { values },
    layer: [
      { mark: { type: "rule", color: GREY, strokeDash: [4, 4] }, encoding: { y: { datum: 1 } } },
      { mark: { type: "line", color, point: { color, size: 40 } } },
    ],
    encoding: {
      x: { field: "tokens", type: "quantitative", title: "tokens", axis: { format: "~s" } },
      y: {
        field: "ratio",
        type: "quantitative",
        title: "perplexity over the original's",
        scale: { zero: false },
      },
    },
  } as TopLevelSpec;
}
