/** Tokens per second on a logarithmic axis. */
import { logTicks } from "./log_ticks.ts";

/**
 * Places marks by their field `tokensPerSecond`.
 *
 * @param rates All that are drawn.
 * @param axis What else the axis is to have.
 */
export function throughputAxis(rates: readonly number[], axis: Record<string, unknown> = {}) {
  const ticks = logTicks(rates);
  return {
    field: "tokensPerSecond",
    type: "quantitative" as const,
    scale: { type: "log" as const, domain: [ticks[0], ticks.at(-1)!], nice: false },
    axis: {
      title: "tokens/s",
      values: ticks,
      // SI prefixes for the small, as in "500m", would be read as millions.
      labelExpr: "datum.value < 1 ? datum.value : format(datum.value, '~s')",
      ...axis,
    },
  };
}
