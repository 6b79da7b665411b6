/** The times of a training as people read them. */
import { formatColumns, left, right } from "../../cli/shared/report/columns.ts";
import type { TrainResult } from "./measure.ts";

/** Writes the rate, and a line for each kernel. */
export function formatTraining({ tokensPerSecond, kernels }: TrainResult): string {
  const rate = `${Math.round(tokensPerSecond)} tokens/s: forward, teacher and backward\n`;
  if (kernels === null) return `${rate}\nNo times of kernels, as the device gave no timestamps.`;
  const all = kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const lines = formatColumns([
    left("kernel", kernels.map(({ name }) => name)),
    right("dispatches", kernels.map(({ dispatches }) => `${dispatches}`)),
    right("ms", kernels.map(({ milliseconds }) => milliseconds.toFixed(1))),
    right("%", kernels.map(({ milliseconds }) => (100 * milliseconds / all).toFixed(1))),
  ]);
  return `${rate}\n${lines.join("\n")}`;
}
