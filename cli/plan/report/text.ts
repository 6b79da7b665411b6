import { formatColumns } from "../../shared/report/columns.ts";
import type { Plan } from "../plan.ts";
import { headOf, sectionsOf } from "./sections.ts";

/** Writes a plan as tables for a terminal. */
export function formatText(plan: Plan): string {
  const width = Math.max(...headOf(plan).map(([label]) => label.length));
  const head = headOf(plan).map(([label, text]) => `${label.padEnd(width)}  ${text}`);
  const sections = sectionsOf(plan).map(({ title, text, columns }) =>
    [title, text, ...formatColumns(columns)].join("\n")
  );
  const notes = ["* as trained", ...plan.notes].join("\n");
  return [head.join("\n"), ...sections, notes].join("\n\n") + "\n";
}
