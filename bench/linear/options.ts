/** The command line of `bench linear`. */
import { Arguments } from "../../cli/shared/arguments.ts";
import type { KvDtype } from "../../mod.ts";
import { KV_DTYPES } from "../../src/tensor/dtype.ts";
import { FULL_EFFORT, QUICK_EFFORT } from "../options.ts";
import type { Effort } from "../stopwatch.ts";

export const HELP =
  `Times projections y = W x of a decode step (one token) and of prompts beside what the adapter can do.

Usage: deno run bench linear [options]

  --tokens NUMBERS   tokens that are projected at once (default: 1,64,512)
  --dtype NAMES      f32, f16, int8, int4 of the weights, or several (default: f32,f16,int8,int4)
  --inputs NUMBER    elements of x (default: 4096)
  --outputs NUMBER   elements of y (default: 4096)
  --quick            few samples
  --json FILE        all rows, for programs
  --help             this text`;

/** The options of the command line. */
export interface LinearBenchOptions {
  tokens: readonly number[];
  dtypes: readonly KvDtype[];
  inputs: number;
  outputs: number;
  effort: Effort;
  json?: string;
}

const ACTION = "time projections";
const NAMES = ["tokens", "dtype", "inputs", "outputs", "json"] as const;
const SIZE = { min: 1, max: 65_536 };

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or a value is of the wrong kind.
 * @throws {RangeError} If a value is not among those known.
 */
export function parseLinearOptions(args: readonly string[]): LinearBenchOptions | string {
  const given = new Arguments(ACTION, args, { names: NAMES, flags: ["quick"] });
  if (given.isHelp) return HELP;
  return {
    tokens: given.numbers("tokens", SIZE) ?? [1, 64, 512],
    dtypes: given.choices("dtype", KV_DTYPES) ?? KV_DTYPES,
    inputs: given.number("inputs", SIZE) ?? 4096,
    outputs: given.number("outputs", SIZE) ?? 4096,
    effort: given.has("quick") ? QUICK_EFFORT : FULL_EFFORT,
    json: given.text("json"),
  };
}
