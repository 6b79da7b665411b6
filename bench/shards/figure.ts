/** Times over shards as a picture, in the words of Vega-Lite. */
import type { TopLevelSpec } from "vega-lite";
import { dashesBy } from "../../cli/shared/report/marks.ts";
import { CONFIG, STYLES } from "../../cli/shared/report/style.ts";
import { softwareNotes } from "../report/software.ts";
import type { ShardsReport } from "./result.ts";

const SIZE = { width: 820, height: 320 };
const KINDS = ["measured", "predicted"] as const;

/** Milliseconds of a layer's attention over the context: of one device and of shards, measured and predicted. */
export function shardsFigure({ adapter, shape: { shards }, rows }: ShardsReport): TopLevelSpec {
  const [one, shared, own] = [
    ...["one device", `${shards} shards on it`, `${shards} shards on devices of their own`],
  ];
  const points = rows.flatMap(({ contextLen, figures }) => {
    if (!figures) return [];
    const { local, shards, predicted } = figures;
    const point = (where: string, kind: typeof KINDS[number], ms: number) => ({
      ...{ contextLen, where, kind, ms: Number(ms.toPrecision(5)) },
    });
    return [
      point(one, "measured", local.medianMs),
      point(one, "predicted", predicted.local),
      point(shared, "measured", shards.medianMs),
      point(shared, "predicted", predicted.oneDevice),
      point(own, "predicted", predicted.ownDevices),
    ];
  });
  const colors = Object.values(STYLES).map(({ color }) => color).slice(0, 3);
  return {
    title: {
      text: `Attention over shards on ${adapter.description}`,
      subtitle: ["One token in one layer; medians of rounds in turns", ...softwareNotes(adapter)],
      offset: 12,
    },
    background: "transparent",
    padding: 8,
    ...SIZE,
    data: { values: points },
    mark: { type: "line", point: true },
    encoding: {
      x: {
        ...{ field: "contextLen", type: "quantitative", title: "tokens of the context" },
        ...{ scale: { type: "log", base: 2 }, axis: { format: "," } },
      },
      y: { field: "ms", type: "quantitative", title: "milliseconds", scale: { type: "log" } },
      color: {
        ...{ field: "where", type: "nominal", legend: { labelLimit: 0 } },
        scale: { domain: [one, shared, own], range: colors },
      },
      strokeDash: dashesBy("kind", KINDS),
    },
    config: CONFIG,
  } as TopLevelSpec;
}
