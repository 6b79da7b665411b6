/** The figures that a bench's page has besides its chart. */
import type { TopLevelSpec } from "vega-lite";
import { contextAxis } from "../../cli/shared/report/context_axis.ts";
import { variantMarks } from "../../cli/shared/report/marks.ts";
import { CONFIG, STYLES } from "../../cli/shared/report/style.ts";
import { throughputAxis } from "../../cli/shared/report/throughput_axis.ts";
import type { FirstUse, Result } from "../result.ts";

/** Sizes in pixels, and the style of all. */
const FRAME = { background: "transparent", padding: 8, width: 620, height: 300, config: CONFIG };

/** The share of the roof against context, a point for each row. */
export function roofSpec(rows: readonly Result[]): TopLevelSpec {
  return pointsSpec(
    rows,
    contextAxis([...new Set(rows.map(({ contextLen }) => contextLen))].sort((a, b) => a - b)),
    { field: "roof", type: "quantitative", axis: { title: "% of the roof" } },
  );
}

/** Tokens per second against the bytes of keys and values, a point for each row. */
export function cacheSpec(rows: readonly Result[]): TopLevelSpec {
  return pointsSpec(
    rows,
    {
      ...{ field: "mebibytes", type: "quantitative" },
      scale: { type: "log", base: 2, nice: false, padding: 12 },
      axis: { title: "keys and values (MiB)", format: "~g" },
    },
    throughputAxis(rows.map(({ tokensPerSecond }) => tokensPerSecond)),
  );
}

function pointsSpec(rows: readonly Result[], x: object, y: object): TopLevelSpec {
  const variants = [...new Set(rows.map(({ variant }) => variant))]
    .map((variant) => ({ variant, label: STYLES[variant].label }));
  return {
    ...FRAME,
    data: {
      values: rows.map(({ variant, contextLen, rooflineShare, kvBytes, tokensPerSecond }) => ({
        ...{ variant: STYLES[variant].label, contextLen, tokensPerSecond },
        ...{ roof: 100 * rooflineShare, mebibytes: kvBytes / 2 ** 20 },
      })),
    },
    mark: { type: "point", filled: true, size: 50, opacity: 0.8 },
    encoding: { x, y, ...variantMarks(variants) },
  } as TopLevelSpec;
}

/** Milliseconds of each kernel's first use, its compilation beside its first run. */
export function firstUseSpec(uses: readonly FirstUse[]): TopLevelSpec {
  const parts = [
    { part: "pipeline", of: ({ pipelineMs }: FirstUse) => pipelineMs },
    { part: "first run", of: ({ firstRunMs }: FirstUse) => firstRunMs },
  ];
  const values = uses.flatMap((use, i) => {
    const { kernel, case: name, phase, variant, dtype } = use;
    const label = `${i + 1}. ${kernel}, ${name} ${phase} ${variant} ${dtype}`;
    return parts.map(({ part, of }) => ({ label, part, milliseconds: of(use) }));
  });
  return {
    ...FRAME,
    ...{ width: 480, height: { step: 18 } },
    data: { values },
    mark: { type: "bar" },
    encoding: {
      y: { field: "label", type: "nominal", sort: null, axis: { title: null, labelLimit: 320 } },
      x: { field: "milliseconds", type: "quantitative", axis: { title: "ms" } },
      color: {
        field: "part",
        type: "nominal",
        scale: {
          domain: parts.map(({ part }) => part),
          range: [STYLES.mqa.color, STYLES.mha.color],
        },
      },
    },
  };
}
