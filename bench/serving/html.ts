import { right } from "../../cli/shared/report/columns.ts";
import { formatPage } from "../../cli/shared/report/page.ts";
import type { Section } from "../../cli/shared/report/section.ts";
import { alignDecimals } from "../../cli/shared/report/units.ts";
import { servingSpec } from "./chart_spec.ts";
import type { PrefixResult, ServingReport } from "./result.ts";
import { columnsOf, describeColumns, describePrefix, headOf } from "./table.ts";

/** Writes a serving run as a page. */
export function formatHtml(report: ServingReport): Promise<string> {
  return formatPage({
    title: `Serving on ${report.adapter.description}`,
    head: headOf(report),
    sections: [
      {
        id: "serving",
        title: "What one budget of cache memory serves",
        text:
          "The same requests by each version: sequences that run together, and pages in use, over time.",
        columns: columnsOf(report.rows),
        figure: servingSpec(report),
      },
      prefixSection(report.prefix),
    ],
    notes: describeColumns(),
  });
}

function prefixSection(prefix: PrefixResult): Section {
  const { sharedTokens, ownTokens, freshMs, sharedMs, ratio } = prefix;
  const [fresh, shared] = alignDecimals([freshMs, sharedMs]);
  return {
    id: "prefix",
    title: "Prompts that begin alike",
    text: describePrefix(prefix),
    columns: [
      right("tokens shared", [`${sharedTokens}`]),
      right("own", [`${ownTokens}`]),
      right("first token ms", [fresh]),
      right("where shared", [shared]),
      right("ratio", [ratio.toFixed(2)]),
    ],
  };
}
