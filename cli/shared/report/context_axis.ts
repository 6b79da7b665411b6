/** Tokens of the context on a logarithmic axis. */

/** Places marks by their field `contextLen`, with a tick for each context. */
export function contextAxis(contexts: readonly number[]) {
  return {
    field: "contextLen",
    type: "quantitative" as const,
    scale: { type: "log" as const, base: 2, nice: false, padding: 12 },
    axis: {
      title: "context (tokens)",
      values: [...contexts],
      labelExpr: "datum.value % 1024 ? datum.value : datum.value / 1024 + 'K'",
    },
  };
}
