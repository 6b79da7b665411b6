/** The command line of `deno run generate`. */
import type { KvDtype } from "../../mod.ts";
import { KV_DTYPES } from "../../src/tensor/dtype.ts";
import { Arguments } from "../shared/arguments.ts";
import { checkCalibrate } from "../shared/calibrate.ts";
import {
  CLUSTER_NAMES,
  type ClusterOptions,
  NATS_HELP,
  readCluster,
} from "../shared/cluster/options.ts";
import {
  type ModelOptions,
  POOL_METHODS,
  type PoolMethod,
  USUAL_CALIBRATION,
  WEIGHT_DTYPES,
} from "../shared/model_options.ts";

export const HELP = `Continues a text by a model on this machine's GPU, and says how fast.

Usage: deno run generate --model FILE --tokenizer FILE [options]

The model
  --model FILE         a checkpoint: a .bin of llama2.c, a .safetensors or its index, or the folder of a Hugging Face model
  --tokenizer FILE     its tokenizer: a .bin of llama2.c, or a tokenizer.json or its folder (default: that of the model)
  --kv-heads NUMBER    give the model this number of KV heads first, and say what that costs (default: the model's own)
  --pool NAME          how: mean, first (of each group the first head), or merged (by ${USUAL_CALIBRATION} tokens that the model
                       draws, which takes minutes) (default: mean)

The text
  --prompt TEXT        what to continue (default: nothing)
  --prompts FILE       continue many instead: JSON lines, each with a prompt, and with id, max_tokens, temperature, top_p,
                       seed and stop as it likes
  --out FILE           where their results go, JSON lines too; those that are there already are not done again
  --tokens NUMBER      most tokens to generate, up to one that ends a text (default: 128)
  --temperature NUMBER 0 takes the likeliest token; the higher, the more daring (default: 0)
  --top-p NUMBER       draw from the likeliest tokens of this share, above 0 and up to 1 (default: 1)
  --seed NUMBER        repeats what was drawn (default: 0)
  --speculate lookup   draft what comes next from the text before, and verify drafts of seven tokens in one pass: the same
                       text, in fewer passes where it repeats itself (default: no drafts)

Memory
  --cache-dtype NAME   element type of the KV cache: f32, f16, int8, int4 (default: f32)
  --calibrate FILE     a text like those to come, by which channels of an int8 or int4 cache are scaled (default: they are not)
  --weight-dtype NAME  element type of the weights: f32, f16, int8 (default: f32)
  --window NUMBER      tokens that a query sees, its own included (default: as the model was trained)
  --sinks NUMBER       first tokens that stay visible past the window (default: 0)

Workers instead of this machine's GPU, for --prompts (deno run worker starts one; the server must have JetStream), or for --shards
${NATS_HELP}

A context on the GPUs of others, while weights stay on this machine's (deno run worker --shard holds a part of it)
  --shards NUMBER      parts that its keys and values are divided into, each at a worker (default: none)
  --copies NUMBER      workers of each part, of which one may be lost (default: 1)

  --help               this text`;

/** Options of whoever keeps keys and values. */
const OF_CACHES = ["cache-dtype", "calibrate", "window", "sinks"] as const;
/** Options of whoever generates the tokens. */
const OF_WORKERS = [...OF_CACHES, "weight-dtype"] as const;

/** The options of the command line. */
export interface GenerateOptions extends ModelOptions {
  kvHeads?: number;
  pool: PoolMethod;
  prompt: string;
  prompts?: string;
  /** Where workers are that continue prompts; absent where this machine does. */
  cluster?: ClusterOptions;
  /** The parts that the context is divided into, and the copies of each; absent where it lies on this machine. */
  shards?: { shards: number; copies: number };
  out?: string;
  tokens: number;
  sampling: { temperature: number; topP: number; seed: number };
  speculate?: "lookup";
  kvDtype: KvDtype;
  /** A file of text that the cache is calibrated by. */
  calibrate?: string;
  weightDtype: typeof WEIGHT_DTYPES[number];
  window?: number;
  sinks?: number;
}

const NAMES = [
  ...[
    "model",
    "tokenizer",
    "kv-heads",
    "pool",
    "prompt",
    "prompts",
    "out",
    "tokens",
    "temperature",
    "top-p",
  ],
  ...["seed", "speculate", "cache-dtype", "calibrate", "weight-dtype", "window", "sinks"],
  ...["shards", "copies"],
  ...CLUSTER_NAMES,
] as const;

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or lacks its value.
 * @throws {RangeError} If a value is out of range, or options contradict each other.
 */
export function parseOptions(args: readonly string[]): GenerateOptions | string {
  const given = new Arguments("generate", args, { names: NAMES, bare: ["prompt"] });
  if (given.isHelp) return HELP;
  const count = { min: 1 };
  const url = given.text("nats");
  const shards = given.number("shards", count);
  const copies = given.number("copies", count);
  const options: GenerateOptions = {
    model: given.required("model"),
    tokenizer: given.text("tokenizer"),
    kvHeads: given.number("kv-heads", count),
    pool: given.choice("pool", POOL_METHODS) ?? "mean",
    prompt: given.text("prompt") ?? "",
    prompts: given.text("prompts"),
    cluster: url === undefined ? undefined : readCluster(given, url),
    shards: shards === undefined ? undefined : { shards, copies: copies ?? 1 },
    out: given.text("out"),
    tokens: given.number("tokens", count) ?? 128,
    sampling: {
      temperature: given.number("temperature", { min: 0, isFraction: true }) ?? 0,
      topP: given.number("top-p", { min: Number.MIN_VALUE, max: 1, isFraction: true }) ?? 1,
      seed: given.number("seed", { min: 0, max: 2 ** 32 - 1 }) ?? 0,
    },
    speculate: given.choice("speculate", ["lookup"]),
    kvDtype: given.choice("cache-dtype", KV_DTYPES) ?? "f32",
    calibrate: given.text("calibrate"),
    weightDtype: given.choice("weight-dtype", WEIGHT_DTYPES) ?? "f32",
    window: given.number("window", count),
    sinks: given.number("sinks", { min: 0 }),
  };
  if (options.sinks !== undefined && options.window === undefined) {
    throw new RangeError("Cannot generate as --sinks needs --window beside it");
  }
  checkCalibrate("generate", options);
  if ((options.prompts === undefined) !== (options.out === undefined)) {
    throw new RangeError("Cannot generate as --prompts and --out need each other");
  }
  if (options.prompts !== undefined && (given.has("prompt") || options.kvHeads !== undefined)) {
    throw new RangeError("Cannot generate as --prompts goes without --prompt and --kv-heads");
  }
  if (options.prompts !== undefined && options.speculate !== undefined) {
    throw new RangeError("Cannot generate as --prompts goes without --speculate");
  }
  if (options.cluster && options.prompts === undefined && !options.shards) {
    throw new RangeError("Cannot generate as --nats needs --prompts or --shards beside it");
  }
  if (options.shards && !options.cluster) {
    throw new RangeError("Cannot generate as --shards needs --nats beside it");
  }
  if (copies !== undefined && !options.shards) {
    throw new RangeError("Cannot generate as --copies needs --shards beside it");
  }
  if (options.shards && (options.prompts !== undefined || options.kvHeads !== undefined)) {
    throw new RangeError("Cannot generate as --shards goes without --prompts and --kv-heads");
  }
  for (const name of options.shards ? OF_CACHES : OF_WORKERS) {
    if (!options.cluster || !given.has(name)) continue;
    throw new RangeError(
      `Cannot generate as --${name} goes without --nats: workers have their own`,
    );
  }
  if (given.text("pool") !== undefined && options.kvHeads === undefined) {
    throw new RangeError("Cannot generate as --pool needs --kv-heads beside it");
  }
  return options;
}
