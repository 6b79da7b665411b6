/** The command line of `bench train`. */
import { Arguments } from "../../cli/shared/arguments.ts";

export const HELP =
  `Times the steps of a training, and says which kernels take the time: a model that is given fewer KV heads learns from the
model that it was, on tokens drawn by chance.

Usage: deno run bench train --model FILE [options]

  --model FILE       a checkpoint: a .bin of llama2.c, a .safetensors or its index, or the folder of a Hugging Face model
  --kv-heads NUMBER  KV heads of the model that is trained (default: 1)
  --batch NUMBER     sequences of a step (default: 16)
  --tokens NUMBER    tokens of a sequence (default: 255)
  --steps NUMBER     steps that are timed, by the clock and then kernel by kernel (default: 5)
  --seed NUMBER      repeats the tokens (default: 0)
  --json FILE        the times, for programs
  --help             this text`;

/** The options of the command line. */
export interface TrainBenchOptions {
  model: string;
  kvHeads: number;
  batch: number;
  tokens: number;
  steps: number;
  seed: number;
  json?: string;
}

/** What cannot be done, in messages. */
export const ACTION = "time a training";
const NAMES = ["model", "kv-heads", "batch", "tokens", "steps", "seed", "json"] as const;

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown, missing or lacks its value.
 * @throws {RangeError} If a number is out of range.
 */
export function parseTrainOptions(args: readonly string[]): TrainBenchOptions | string {
  const given = new Arguments(ACTION, args, { names: NAMES });
  if (given.isHelp) return HELP;
  return {
    model: given.required("model"),
    kvHeads: given.number("kv-heads", { min: 1 }) ?? 1,
    batch: given.number("batch", { min: 1 }) ?? 16,
    tokens: given.number("tokens", { min: 1 }) ?? 255,
    steps: given.number("steps", { min: 1 }) ?? 5,
    seed: given.number("seed", { min: 0, max: 2 ** 32 - 1 }) ?? 0,
    json: given.text("json"),
  };
}
