/** Pictures of models on systems: tokens a second of each, and where the time of each goes. */
import type { TopLevelSpec } from "vega-lite";
import { CONFIG, GREY, STYLES } from "../../cli/shared/report/style.ts";
import { alignDecimals } from "../../cli/shared/report/units.ts";
import { softwareNotes } from "../report/software.ts";
import { onehead } from "./onehead.ts";
import type { ModelResult, ModelsReport } from "./result.ts";
import { groupsOf, kernelMsOf, titleOf, wordsOf, workedOf } from "./table.ts";

/** Pixels of a panel, and of a bar with the gap beside it. */
const WIDTH = 270;
const STEP = 22;
/** Most pixels of the name of a system, as they are estimated without a font. */
const LABEL = 320;
/** Letters of the reason why a system has no bar. */
const WORDS = 60;

/**
 * Describes the chart of a run: for each model and number of sequences a panel of prefill and one of decode, with a bar for
 * each system, or the reason why it has none.
 *
 * @returns A Vega-Lite specification, about 900 pixels wide.
 */
export function modelsSpec({ adapter, rows }: ModelsReport): TopLevelSpec {
  return {
    title: {
      text: `Whole models on ${adapter.description}`,
      subtitle: [
        "The same tokens on all systems, verified before they were timed in turns; longer bars are better",
        ...softwareNotes(adapter),
      ],
      offset: 12,
    },
    ...{ background: "transparent", padding: 8, spacing: 24, config: CONFIG },
    vconcat: groupsOf(rows).map((rows) => ({
      title: { text: titleOf(rows[0]), fontSize: 13, offset: 4 },
      spacing: 16,
      hconcat: panelsOf(rows),
    })),
  };
}

/** Describes the chart of one model and number of sequences. */
export function speedsSpec(rows: readonly ModelResult[]): TopLevelSpec {
  return {
    ...{ background: "transparent", padding: 8, spacing: 16, config: CONFIG },
    hconcat: panelsOf(rows),
  };
}

function panelsOf(rows: readonly ModelResult[]) {
  return [
    panelOf("prefill", rows, (row) => row.figures?.prefillPerSecond ?? null, true),
    panelOf("decode", rows, (row) => row.figures?.decodePerSecond ?? null, false),
  ];
}

/** Bars of one figure, with their numbers; the names of systems stand beside the first panel alone. */
function panelOf(
  what: string,
  rows: readonly ModelResult[],
  of: (row: ModelResult) => number | null,
  isFirst: boolean,
) {
  const rates = rows.map(of);
  const labels = alignDecimals(rates);
  const values = rows.map((row, i) => ({
    system: row.system,
    tokensPerSecond: rates[i] ?? 0,
    text: row.verdict === "right" ? labels[i] : cut(wordsOf(row)),
    isOurs: row.system === onehead.name,
  }));
  const y = {
    field: "system",
    type: "nominal" as const,
    sort: null,
    axis: isFirst ? { title: null, labelLimit: LABEL, ticks: false, domain: false } : null,
  };
  const x = {
    field: "tokensPerSecond",
    type: "quantitative" as const,
    axis: { title: `${what}, tokens/s`, tickCount: 4 },
    // Room for the number beside the longest bar.
    scale: { domain: [0, 1.25 * Math.max(1, ...rates.map((rate) => rate ?? 0))], nice: false },
  };
  return {
    ...{ width: WIDTH, height: { step: STEP }, data: { values } },
    layer: [
      {
        mark: { type: "bar" as const },
        encoding: {
          ...{ x, y },
          color: {
            condition: { test: "datum.isOurs", value: STYLES.mqa.color },
            value: GREY,
          },
        },
      },
      {
        mark: { type: "text" as const, align: "left" as const, dx: 4, color: GREY, fontSize: 11 },
        encoding: { x, y, text: { field: "text", type: "nominal" as const } },
      },
    ],
  };
}

function cut(words: string): string {
  return words.length <= WORDS ? words : `${words.slice(0, WORDS - 1)}…`;
}

/** Describes where the time of one more token goes, in kernels and beside them, on the systems whose kernels have times. */
export function whereSpec(rows: readonly ModelResult[]): TopLevelSpec | undefined {
  const parts = workedOf(rows).flatMap(({ system, figures }) => {
    const kernelMs = kernelMsOf(figures, "step");
    if (kernelMs === null || figures.stepMs === null) return [];
    return [
      { system, part: "in kernels", milliseconds: Math.min(kernelMs, figures.stepMs) },
      { system, part: "beside them", milliseconds: Math.max(0, figures.stepMs - kernelMs) },
    ];
  });
  if (parts.length === 0) return undefined;
  return {
    ...{ background: "transparent", padding: 8, config: CONFIG },
    ...{ width: 560, height: { step: STEP } },
    data: { values: parts },
    mark: { type: "bar" },
    encoding: {
      y: { field: "system", type: "nominal", sort: null, axis: { title: null, labelLimit: LABEL } },
      x: {
        field: "milliseconds",
        type: "quantitative",
        axis: { title: "milliseconds of one more token" },
      },
      order: { field: "part", sort: "descending" },
      color: {
        field: "part",
        type: "nominal",
        scale: {
          domain: ["in kernels", "beside them"],
          range: [STYLES.mqa.color, STYLES.mha.color],
        },
      },
    },
  };
}
