/** The times of a training as people read them. */
import { formatColumns, left, right } from "../../cli/shared/report/columns.ts";
import type { TrainReport } from "./measure.ts";

/** Writes what was trained, the rate, and a line for each kernel. */
export function formatTraining(report: TrainReport): string {
  const { tokensPerSecond, kernels } = report;
  const rate = `${Math.round(tokensPerSecond)} tokens/s: forward, teacher and backward\n`;
  const head = `${headOf(report).join("\n")}\n\n${rate}`;
  if (kernels === null) return `${head}\nNo times of kernels, as the device gave no timestamps.`;
  const all = kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const lines = formatColumns([
    left("kernel", kernels.map(({ name }) => name)),
    right("dispatches", kernels.map(({ dispatches }) => `${dispatches}`)),
    right("ms", kernels.map(({ milliseconds }) => milliseconds.toFixed(1))),
    right("%", kernels.map(({ milliseconds }) => (100 * milliseconds / all).toFixed(1))),
  ]);
  return `${head}\n${lines.join("\n")}`;
}

/** The adapter, the models and the steps, a line each. */
function headOf(
  { adapter, model, architecture, batch, tokens, steps, seed }: TrainReport,
): string[] {
  const { numLayers, dim, numHeads, headDim, numKvHeads, teacherKvHeads } = architecture;
  return [
    `Adapter  ${adapter.description}`,
    `Model    ${numLayers} layers of ${dim}, ${numHeads} query heads of ${headDim}, ${numKvHeads} of ${teacherKvHeads} KV heads (${model})`,
    `Steps    ${steps} of ${batch} x ${tokens} tokens, seed ${seed}`,
  ];
}
