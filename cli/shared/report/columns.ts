type Align = "left" | "right";

/** One column of a table, its cells as text. */
export interface Column {
  heading: string;
  align: Align;
  cells: string[];
}

/** A column of words. */
export function left(heading: string, cells: string[]): Column {
  return { heading, align: "left", cells };
}

/** A column of figures. */
export function right(heading: string, cells: string[]): Column {
  return { heading, align: "right", cells };
}

/** A line of headings, then one line for each row of cells; no spaces end a line. */
export function formatColumns(columns: Column[]): string[] {
  return padColumns(columns).map((line) => line.trimEnd());
}

/** The same lines, all of one width, for more to follow. */
export function padColumns(columns: Column[]): string[] {
  const padded = columns.map(({ heading, align, cells }) => {
    const column = [heading, ...cells];
    const width = Math.max(...column.map((cell) => cell.length));
    return column.map((cell) => align === "left" ? cell.padEnd(width) : cell.padStart(width));
  });
  return padded[0].map((_, i) => padded.map((column) => column[i]).join("  "));
}
