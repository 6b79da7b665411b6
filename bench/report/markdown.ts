/** A table in Markdown, from its columns, each with its heading first; a line ends with a newline. */
export function markdownTable(columns: readonly (readonly string[])[]): string {
  const padded = columns.map((column) => {
    const width = Math.max(...column.map((text) => text.length));
    const [heading, ...texts] = column.map((text) => text.padEnd(width));
    return [heading, "-".repeat(width), ...texts];
  });
  return padded[0].map((_, i) => `| ${padded.map((column) => column[i]).join(" | ")} |\n`).join("");
}
