import type { LayerMergeReport } from "../../../src/checkpoints/mod.ts";
import { type Column, formatColumns } from "./columns.ts";

/** Writes what merging kept, as a table. */
export function formatMerge(report: readonly LayerMergeReport[]): string[] {
  return formatColumns(mergeColumns(report));
}

/**
 * The columns of what merging kept of each layer: shares of the energy of keys and values, the share of the attention's output
 * that it is off by as merged and as refitted, on tokens that nothing was refitted to, and that of the residual stream
 * behind it.
 */
export function mergeColumns(report: readonly LayerMergeReport[]): Column[] {
  const column = (heading: string, cellOf: (layer: LayerMergeReport, index: number) => string) =>
    ({ heading, align: "right", cells: report.map(cellOf) }) satisfies Column;
  return [
    column("layer", (_, layer) => `${layer}`),
    column("keys kept", ({ keys }) => keys === undefined ? "averaged" : percent(keys)),
    column("values kept", ({ values }) => percent(values)),
    column("error merged", ({ error }) => percent(error.merged)),
    column("refitted", ({ error }) => percent(error.refitted)),
    column("rounds", ({ rounds }) => `${rounds}`),
    column("drift", ({ drift }) => percent(drift)),
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
