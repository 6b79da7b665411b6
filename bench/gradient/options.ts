/** The command line of `bench gradient`. */
import { Arguments } from "../../cli/shared/arguments.ts";
import { FULL_EFFORT, QUICK_EFFORT } from "../options.ts";
import type { Effort } from "../stopwatch.ts";
import type { GradientCase } from "./system.ts";

export const HELP =
  `Times causal attention and its gradients by queries, keys and values: ours, and on request jax-js and tfjs beside it.

Usage: deno run bench gradient [options]

  --tokens NUMBERS    tokens, all of them queries and keys (default: 1024)
  --heads NUMBER      query heads (default: 8)
  --kv-heads NUMBERS  key/value heads, which divide the query heads (default: 8,1)
  --head-dim NUMBER   elements of a head (default: 64)
  --peers             the gradients of jax-js and tfjs too, fetched by npm
  --quick             few samples
  --json FILE         all rows, for programs
  --help              this text`;

/** The options of the command line. */
export interface GradientBenchOptions {
  cases: readonly GradientCase[];
  peers: boolean;
  effort: Effort;
  json?: string;
}

const ACTION = "time gradients";
const NAMES = ["tokens", "heads", "kv-heads", "head-dim", "json"] as const;
const SIZE = { min: 1, max: 65_536 };

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function parseGradientOptions(args: readonly string[]): GradientBenchOptions | string {
  const given = new Arguments(ACTION, args, { names: NAMES, flags: ["quick", "peers"] });
  if (given.isHelp) return HELP;
  const numHeads = given.number("heads", SIZE) ?? 8;
  const kvHeads = given.numbers("kv-heads", SIZE) ?? [8, 1];
  const headDim = given.number("head-dim", SIZE) ?? 64;
  const tokens = given.numbers("tokens", SIZE) ?? [1024];
  return {
    cases: tokens.flatMap((tokens) =>
      kvHeads.map((numKvHeads) => ({ tokens, numHeads, numKvHeads, headDim }))
    ),
    peers: given.has("peers"),
    effort: given.has("quick") ? QUICK_EFFORT : FULL_EFFORT,
    json: given.text("json"),
  };
}
