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
