/** The command line of `deno run quality`. */
import type { KvDtype } from "../../mod.ts";
import { KV_DTYPES } from "../../src/tensor/dtype.ts";
import { Arguments } from "../shared/arguments.ts";
import {
  type AwaitedCluster,
  CLUSTER_NAMES,
  NATS_HELP,
  readAwaited,
  WAIT_HELP,
} from "../shared/cluster/options.ts";
import {
  type ModelOptions,
  POOL_METHODS,
  type PoolMethod,
  USUAL_CALIBRATION,
} from "../shared/model_options.ts";
import { CACHE_TRANSFORMS, type CacheTransform } from "../shared/quality/variant.ts";

export const HELP =
  `Says what a smaller KV cache costs a model: how well it predicts a text with a cache in fewer bits, with a window, and with
fewer KV heads, one change at a time.

Usage: deno run quality --model FILE --tokenizer FILE [options]

The model
  --model FILE         a checkpoint: a .bin of llama2.c, a .safetensors or its index, or the folder of a Hugging Face model
  --tokenizer FILE     its tokenizer: a .bin of llama2.c, or a tokenizer.json or its folder (default: that of the model)

The text
  --text FILE          what to predict (default: a text that the model draws itself)
  --tokens NUMBER      most tokens of it (default: 512, or the model's context)
  --seed NUMBER        repeats the text that the model draws (default: 0)

What to change
  --cache-dtype NAMES  element types of the KV cache, separated by commas (default: f32,f16,int8,int4)
  --cache-transform NAMES
                       what int8 and int4 are made of: none (keys and values as they are), rotated, calibrated (by tokens
                       that the model draws, up to its context) (default: all of them)
  --window NUMBERS     tokens that a query sees (default: a half, a quarter and an eighth of the text)
  --sinks NUMBERS      first tokens that stay visible past the window (default: 0,4)
  --kv-heads NUMBERS   KV heads to have (default: every smaller number that divides the model's)
  --pool NAMES         ways to fewer KV heads: mean, first (of each group the first head), merged (by calibration, which
                       takes minutes) (default: mean,first)
  --calibration NUMBER tokens that the model draws to be merged by (default: ${USUAL_CALIBRATION})

Workers instead of this machine's GPU (deno run worker --quality starts one; the server must have JetStream);
a row of f16 goes to a worker whose GPU has f16, and is left out where none has it
${NATS_HELP}
${WAIT_HELP}

Where results go, besides the table
  --json [FILE]        all figures, for programs; without a FILE to the standard output, in the table's place
  --html FILE          a page: perplexity against the bytes of the cache, and the table
  --svg DIR            a picture: attention maps of heads, with those that share keys and values in one colour
  --layer NUMBER       layer of the attention maps, from 0 (default: the middle one)
  --heads NUMBERS      query heads of the attention maps, from 0 (default: the first 8)

  --help               this text`;

/** The options of the command line. */
export interface QualityOptions extends ModelOptions {
  /** A file; none where the model draws the text. */
  text?: string;
  tokens?: number;
  seed: number;
  kvDtypes: readonly KvDtype[];
  transforms: readonly CacheTransform[];
  windows?: readonly number[];
  sinks: readonly number[];
  kvHeads?: readonly number[];
  pools: readonly PoolMethod[];
  /** Tokens to merge by. */
  calibration: number;
  /** A file, or "" for the standard output. */
  json?: string;
  svg?: string;
  html?: string;
  layer?: number;
  heads?: readonly number[];
  /** Where workers are that measure; absent where this machine does. */
  cluster?: AwaitedCluster;
}

const NAMES = [
  ...["model", "tokenizer", "text", "tokens", "seed", "cache-dtype", "cache-transform"],
  ...["window", "sinks", "kv-heads", "pool", "calibration", "layer", "heads"],
  ...["json", "svg", "html", "wait"],
  ...CLUSTER_NAMES,
] as const;

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or lacks its value.
 * @throws {RangeError} If a value is out of range, or options contradict each other.
 */
export function parseOptions(args: readonly string[]): QualityOptions | string {
  const given = new Arguments("measure quality", args, { names: NAMES, bare: ["json"] });
  if (given.isHelp) return HELP;
  const count = { min: 1 };
  const index = { min: 0 };
  for (const name of ["layer", "heads"] as const) {
    if (given.text(name) === undefined || given.text("svg") !== undefined) continue;
    throw new RangeError(`Cannot measure quality as --${name} needs --svg beside it`);
  }
  const pools = given.choices("pool", POOL_METHODS) ?? ["mean", "first"];
  if (given.has("calibration") && !pools.includes("merged")) {
    throw new RangeError("Cannot measure quality as --calibration needs --pool merged beside it");
  }
  return {
    model: given.required("model"),
    tokenizer: given.text("tokenizer"),
    text: given.text("text"),
    tokens: given.number("tokens", { min: 2 }),
    seed: given.number("seed", { min: 0, max: 2 ** 32 - 1 }) ?? 0,
    kvDtypes: given.choices("cache-dtype", KV_DTYPES) ?? KV_DTYPES,
    transforms: given.choices("cache-transform", CACHE_TRANSFORMS) ?? CACHE_TRANSFORMS,
    windows: given.numbers("window", count),
    sinks: given.numbers("sinks", index) ?? [0, 4],
    kvHeads: given.numbers("kv-heads", count),
    pools,
    calibration: given.number("calibration", { min: 2 }) ?? USUAL_CALIBRATION,
    json: given.text("json"),
    svg: given.text("svg"),
    html: given.text("html"),
    layer: given.number("layer", index),
    heads: given.numbers("heads", index),
    cluster: readAwaited("measure quality", given),
  };
}
