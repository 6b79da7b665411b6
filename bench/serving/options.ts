/** The command line of `bench serving`. */
import { Arguments } from "../../cli/shared/arguments.ts";
import { checkGroups } from "../../src/base/check.ts";
import { KV_DTYPES, type KvDtype } from "../../src/tensor/dtype.ts";
import type { ServingSizes } from "./measure.ts";
import type { RequestDistribution } from "./requests.ts";

export const HELP =
  `Serves the same requests by MHA, GQA and MQA versions of one model under one budget of cache memory.

Usage: deno run bench serving [options]

The model, of random weights
  --heads NUMBER      query heads (default: 8)
  --kv-heads NUMBERS  KV heads of its versions (default: as many as query heads, 2 and 1)
  --head-dim NUMBER   elements of a head (default: 8)
  --layers NUMBER     layers (default: 5)
  --vocabulary NUMBER tokens of the vocabulary (default: 512)
  --weight-dtype NAME element type of the weights: f32, f16, int8, int4 (default: f32)

Memory and steps
  --cache-kib NUMBER  KiB of keys and values, the same for each version (default: 4096)
  --cache-dtype NAME  their element type: f32, f16, int8, int4 (default: f32)
  --page NUMBER       tokens of a page (default: 16)
  --step-tokens NUMBER
                      most tokens of a step (default: 256)
  --sequences NUMBER  most sequences that run together (default: twice as many as are predicted to fit)

Requests, which go to each version in turn
  --requests NUMBER   how many (default: 512)
  --rate NUMBER       requests a second, at random times (default: all at once)
  --prompt NUMBER     tokens of a prompt, in the mean (default: 64)
  --output NUMBER     new tokens, in the mean (default: 64)
  --spread NUMBER     standard deviation of the logarithm of lengths, which are log-normal and at most four times their
                      mean; 0 makes all alike (default: 0.6)
  --seed NUMBER       repeats the requests (default: 0)
  --shared NUMBER     tokens that prompts share where first tokens of these are timed (default: 256)

Where results go, besides the table
  --json FILE         all figures, with pages and steps over time, for programs
  --svg FILE          sequences that run together, and pages in use, over time
  --html FILE         a page with both
  --quick             256 requests of a quarter of these lengths, and an eighth of the memory
  --help              this text`;

/** The options of the command line. */
export interface ServingOptions {
  model: { heads: number; kvHeads: readonly number[]; headDim: number; layers: number };
  vocabSize: number;
  /** Element type of the weights. */
  weightDtype: KvDtype;
  sizes: ServingSizes;
  requests: RequestDistribution;
  sharedTokens: number;
  json?: string;
  svg?: string;
  html?: string;
}

const ACTION = "measure serving";
const NAMES = [
  ...["heads", "kv-heads", "head-dim", "layers", "vocabulary", "weight-dtype"],
  ...["cache-kib", "cache-dtype", "page", "step-tokens", "sequences"],
  ...["requests", "rate", "prompt", "output", "spread", "seed", "shared", "json", "svg", "html"],
] as const;
/** Enough requests that even the version with the smallest cache is short of pages for most of the time. */
const FULL = { requests: 512, mean: 64, cacheKib: 4096 };
const QUICK = { requests: 256, mean: 16, cacheKib: 512 };
const COUNT = { min: 1, max: 2 ** 20 };

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function parseServingOptions(args: readonly string[]): ServingOptions | string {
  const given = new Arguments(ACTION, args, { names: NAMES, flags: ["quick"] });
  if (given.isHelp) return HELP;
  const usual = given.has("quick") ? QUICK : FULL;
  const heads = given.number("heads", COUNT) ?? 8;
  const kvHeads = given.numbers("kv-heads", COUNT) ??
    [...new Set([heads, 2, 1])].filter((count) => heads % count === 0);
  for (const numKvHeads of kvHeads) checkGroups(ACTION, { numHeads: heads, numKvHeads });
  const spread = given.number("spread", { min: 0, max: 4, isFraction: true }) ?? 0.6;
  const mean = (name: "prompt" | "output") => given.number(name, COUNT) ?? usual.mean;
  return {
    model: {
      ...{ heads, kvHeads: kvHeads.toSorted((a, b) => b - a) },
      headDim: given.number("head-dim", COUNT) ?? 8,
      layers: given.number("layers", COUNT) ?? 5,
    },
    vocabSize: given.number("vocabulary", COUNT) ?? 512,
    weightDtype: given.choice("weight-dtype", KV_DTYPES) ?? "f32",
    sizes: {
      budgetBytes: 1024 * (given.number("cache-kib", COUNT) ?? usual.cacheKib),
      kvDtype: given.choice("cache-dtype", KV_DTYPES) ?? "f32",
      pageSize: given.number("page", COUNT) ?? 16,
      stepTokens: given.number("step-tokens", COUNT) ?? 256,
      maxSequences: given.number("sequences", COUNT),
    },
    requests: {
      count: given.number("requests", COUNT) ?? usual.requests,
      rate: given.number("rate", { min: 1e-3, isFraction: true }) ?? null,
      prompt: { mean: mean("prompt"), spread },
      output: { mean: mean("output"), spread },
      seed: given.number("seed", { min: 0, max: 2 ** 32 - 1 }) ?? 0,
    },
    sharedTokens: given.number("shared", COUNT) ?? 256,
    json: given.text("json"),
    svg: given.text("svg"),
    html: given.text("html"),
  };
}
