/** The sections of a report. */
import type { TopLevelSpec } from "vega-lite";
import type { Column } from "../../shared/report/columns.ts";

/** A table, and the picture that shows the same. */
export interface Section {
  /** Also the picture's file name. */
  id: string;
  title: string;
  /** The meaning of the figures. */
  text: string;
  columns: Column[];
  figure?: TopLevelSpec;
}

/** A column of words. */
export function left(heading: string, cells: string[]): Column {
  return { heading, align: "left", cells };
}

/** A column of figures. */
export function right(heading: string, cells: string[]): Column {
  return { heading, align: "right", cells };
}
