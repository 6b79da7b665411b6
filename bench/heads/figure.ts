/** Trainings from scratch as a picture, in the words of Vega-Lite. */
import type { TopLevelSpec } from "vega-lite";
import { dashesBy } from "../../cli/shared/report/marks.ts";
import { CONFIG, FAINT_GREY, STYLES } from "../../cli/shared/report/style.ts";
import { variantOf } from "../../cli/shared/variant.ts";
import { mean } from "../statistics.ts";
import type { Width } from "./options.ts";
import { type HeadsReport, type Row, runOf } from "./result.ts";
import { headsName } from "./table.ts";

const SIZE = { width: 380, height: 300 };

/** The loss of held-out texts over the tokens that were learned from, and at the end over the number of KV heads. */
export function headsFigure(report: HeadsReport): TopLevelSpec {
  const { architecture: { numHeads }, rows } = report;
  const widthOf = ({ hiddenDim }: Row): Width => hiddenDim > rows[0].hiddenDim ? "wider" : "same";
  const nameOf = (row: Row) => headsName(row) + (widthOf(row) === "same" ? "" : ", wider");
  const dashes = dashesBy("name", rows.map(nameOf));
  const legend = dashes.legend && { ...dashes.legend, columns: 4, labelLimit: 0 };
  const marks = {
    color: {
      ...{ field: "name", type: "nominal" as const, legend },
      scale: {
        domain: rows.map(nameOf),
        range: rows.map(({ numKvHeads }) => STYLES[variantOf(numHeads, numKvHeads)].color),
      },
    },
    strokeDash: { ...dashes, legend },
  };
  const y = {
    field: "loss",
    type: "quantitative" as const,
    title: "cross-entropy of held-out tokens (nats)",
    scale: { zero: false },
  };
  const curves = rows.flatMap((row) =>
    curveOf(report, row).map((point) => ({ ...point, name: nameOf(row) }))
  );
  const ends = rows.flatMap((row) => {
    const of = { numKvHeads: row.numKvHeads, width: widthOf(row), name: nameOf(row) };
    return row.losses.map((loss, seed) => ({ ...of, seed, loss: rounded(loss) }));
  });
  return {
    background: "transparent",
    padding: 8,
    config: CONFIG,
    title: {
      text: "Trained from scratch with fewer KV heads",
      subtitle:
        "Mean of the seeds over the training; each seed at its end, joined by a line, and their mean",
      offset: 12,
    },
    hconcat: [
      {
        ...SIZE,
        data: { values: curves },
        mark: { type: "line", interpolate: "monotone" },
        encoding: {
          x: { field: "tokens", type: "quantitative", title: "tokens", axis: { format: "~s" } },
          ...{ y, ...marks },
        },
      },
      {
        ...SIZE,
        data: { values: ends },
        encoding: {
          x: {
            ...{ field: "numKvHeads", type: "ordinal", title: "KV heads" },
            scale: { domain: [...new Set(rows.map(({ numKvHeads }) => numKvHeads))] },
            axis: { labelAngle: 0 },
          },
          xOffset: { field: "width", scale: { domain: [...new Set(rows.map(widthOf))] } },
          y,
        },
        layer: [
          {
            mark: { type: "line", color: FAINT_GREY },
            encoding: { detail: [{ field: "seed" }, { field: "width" }] },
          },
          {
            mark: { type: "point", filled: true, size: 50 },
            encoding: { color: marks.color },
          },
          {
            mark: { type: "tick", thickness: 2, width: 28, orient: "horizontal" },
            encoding: { y: { ...y, aggregate: "mean" }, color: marks.color },
          },
        ],
      },
    ],
  } as TopLevelSpec;
}

/** The mean over seeds at each point where held-out texts were predicted. */
function curveOf({ runs }: HeadsReport, row: Row): { tokens: number; loss: number }[] {
  const curves = runs.filter((run) => runOf([run], row, run.seed)).map(({ curve }) => curve);
  return curves[0].map(({ tokens }, i) => ({
    tokens,
    loss: rounded(mean(curves.map((curve) => curve[i].heldOut!))),
  }));
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
