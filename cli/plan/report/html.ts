import { renderSvg } from "../../shared/report/svg.ts";
import type { Column } from "../../shared/report/columns.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "./section.ts";
import { headOf, sectionsOf } from "./sections.ts";
import style from "./page.css" with { type: "text" };

/**
 * Writes a plan as a page that needs nothing beside itself: pictures inline, a table under each, light or dark as the
 * reader has it, and fit to print.
 */
export async function formatHtml(plan: Plan): Promise<string> {
  const sections = await Promise.all(sectionsOf(plan).map(formatSection));
  const title = `${plan.model.name} on ${plan.device.name}: what MHA, GQA and MQA cost`;
  const head = headOf(plan).map(([label, text]) =>
    `<dt>${escape(label)}</dt><dd>${escape(text)}</dd>`
  );
  const notes = ["* as trained", ...plan.notes].map((note) => `<li>${escape(note)}</li>`);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<style>
${style}</style>
</head>
<body>
<h1>${escape(title)}</h1>
<dl>
${head.join("\n")}
</dl>
${sections.join("\n")}
<footer>
<ul>
${notes.join("\n")}
</ul>
</footer>
</body>
</html>
`;
}

async function formatSection({ id, title, text, columns, figure }: Section): Promise<string> {
  const picture = figure
    ? `<figure role="img" aria-label="${escape(title)}">${
      withOwnIds(await renderSvg(figure), id)
    }</figure>\n`
    : "";
  return `<section id="${id}">
<h2>${escape(title)}</h2>
<p>${escape(text)}</p>
${picture}${formatTable(columns)}
</section>`;
}

function formatTable(columns: readonly Column[]): string {
  const row = (tag: "th" | "td", cellOf: (column: Column) => string) =>
    `<tr>${
      columns.map((column) => `<${tag} class="${column.align}">${escape(cellOf(column))}</${tag}>`)
        .join("")
    }</tr>`;
  return `<div class="table"><table>
<thead>${row("th", ({ heading }) => heading)}</thead>
<tbody>
${columns[0].cells.map((_, i) => row("td", ({ cells }) => cells[i])).join("\n")}
</tbody>
</table></div>`;
}

/** Each picture numbers its clips and gradients from 0; on one page, these names must differ. */
function withOwnIds(svg: string, id: string): string {
  return svg.replaceAll(/\b(id="|url\(#|href="#)/g, `$1${id}-`);
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
