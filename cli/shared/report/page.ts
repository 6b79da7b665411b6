/** Reports as pages of HTML. */
import type { Column } from "./columns.ts";
import style from "./page.css" with { type: "text" };
import type { Section } from "./section.ts";
import { renderSvg } from "./svg.ts";

/** A report. */
export interface Page {
  title: string;
  /** A line each above the sections. */
  head: readonly (readonly [label: string, text: string])[];
  sections: readonly Section[];
  /** A line each below them. */
  notes: readonly string[];
}

/**
 * Writes a report as a page that needs nothing beside itself: pictures inline, a table under each, light or dark as the reader
 * has it, and fit to print.
 */
export async function formatPage({ title, head, sections, notes }: Page): Promise<string> {
  const written = await Promise.all(sections.map(formatSection));
  const lines = head.map(([label, text]) => `<dt>${escape(label)}</dt><dd>${escape(text)}</dd>`);
  const items = notes.map((note) => `<li>${escape(note)}</li>`);
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
${lines.join("\n")}
</dl>
${written.join("\n")}
<footer>
<ul>
${items.join("\n")}
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
