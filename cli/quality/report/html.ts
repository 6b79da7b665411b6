import type { Section } from "../../shared/report/section.ts";
import { mergeColumns } from "../../shared/report/merge_table.ts";
import { formatPage } from "../../shared/report/page.ts";
import type { Report } from "../result.ts";
import { costFigure } from "./cost_figure.ts";
import { columnsOf, headOf, mergeTitle } from "./table.ts";

/** Writes a report as a page. */
export function formatHtml(report: Report): Promise<string> {
  return formatPage({
    title: `What changes to ${report.model} cost`,
    head: headOf(report),
    sections: [
      {
        id: "cost",
        title: "Perplexity against the bytes of the cache",
        text:
          "One change at a time. NLL: the mean negative log-likelihood of a token, in nats; x: perplexity over that without a change; agreement: tokens for which the likeliest is the same.",
        columns: columnsOf(report.rows),
        figure: costFigure(report),
      },
      ...mergeSections(report),
    ],
    notes: [],
  });
}

/** What merging kept of each layer, for each row whose heads were merged. */
function mergeSections({ rows }: Report): Section[] {
  return rows.flatMap(({ numKvHeads, merge }) =>
    merge === undefined ? [] : [{
      id: `merged-${numKvHeads}`,
      title: mergeTitle(numKvHeads),
      text:
        "Shares of the energy of keys and values that each layer kept, the error of its attention on tokens that nothing was fitted to, and that of the residual stream behind it.",
      columns: mergeColumns(merge),
    }]
  );
}
