import type { TopLevelSpec } from "vega-lite";
import { CONFIG, GREY, STYLES } from "../../shared/report/style.ts";
import type { Report, Row } from "../result.ts";

/** Perplexity against the bytes of the cache: what each change costs, and what it saves. */
export function costFigure({ rows, model }: Report): TopLevelSpec {
  const [unchanged] = rows;
  const values = rows.map((row) => ({
    label: labelOf(row),
    kibibytes: row.cacheBytes / 1024,
    ratio: row.perplexity / unchanged.perplexity,
  }));
  const encoding = {
    x: {
      ...{ field: "kibibytes", type: "quantitative" as const },
      scale: { type: "log" as const, base: 2, nice: false, padding: 40 },
      axis: { title: "KV cache (KiB)", format: "~g" },
    },
    y: {
      ...{ field: "ratio", type: "quantitative" as const },
      scale: { type: "log" as const, nice: false, padding: 20 },
      axis: { title: "perplexity, x unchanged", format: "~g" },
    },
  };
  return {
    title: {
      text: "What changes cost, and what they save",
      subtitle: model,
      offset: 10,
      fontSize: 16,
    },
    ...{ background: "transparent", padding: 8, width: 620, height: 320, config: CONFIG },
    data: { values },
    layer: [
      {
        mark: { type: "point", filled: true, size: 60, opacity: 0.9, color: STYLES.mqa.color },
        encoding,
      },
      {
        mark: { type: "text", align: "left", dx: 7, fontSize: 10, color: GREY },
        encoding: { ...encoding, text: { field: "label", type: "nominal" } },
      },
    ],
  };
}

/** The change of a row. */
function labelOf({ change, kvDtype, transform, window, sinks, numKvHeads, pool }: Row): string {
  switch (change) {
    case "none":
      return "unchanged";
    case "cache dtype":
      return transform === undefined ? kvDtype : `${kvDtype} ${transform}`;
    case "window":
      return sinks ? `window ${window}, ${sinks} sinks` : `window ${window}`;
    case "KV heads":
      return `${numKvHeads} KV heads ${pool}`;
  }
}
