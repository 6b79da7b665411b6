/** The command line of `deno run uptrain`. */
import { Arguments } from "../shared/arguments.ts";
import { type ModelOptions, POOL_METHODS, type PoolMethod } from "../shared/model_options.ts";
import type { TrainingSizes } from "../shared/training/learn.ts";
import {
  SIZE_NAMES,
  TEXT_NAMES,
  TEXT_SIZES_HELP,
  textOptionsOf,
  trainingSizesOf,
} from "../shared/training/options.ts";
import type { TextOptions } from "../shared/training/texts.ts";

/** What cannot be done, in messages. */
export const ACTION = "uptrain";
/** Of --tokens, 0 trains nothing. */
const USUAL_SIZES: TrainingSizes = { tokens: 0, batch: 16, rate: 0.001 };
const TEACHERS = ["own", "none"] as const;

export const HELP =
  `Gives a model fewer KV heads, trains it to do what it did before, says what that costs it, and writes it as the folder of a
Hugging Face model.

Usage: deno run uptrain --model FILE --tokenizer FILE --kv-heads NUMBER --out DIR [options]

The model
  --model FILE         a checkpoint: a .bin of llama2.c, a .safetensors or its index, or the folder of a Hugging Face model
  --tokenizer FILE     its tokenizer: a .bin of llama2.c, or a tokenizer.json or its folder (default: that of the model)
  --kv-heads NUMBER    KV heads to have: a divisor of the model's; 1 gives multi-query attention
  --init NAME          how: merged (by calibration), mean, first (of each group the first head) (default: merged)
  --out DIR            where the model goes: a folder that is absent or empty

The texts
  --text FILE          a text of the model's kind to merge by and learn from; its last part is held out to measure by
${TEXT_SIZES_HELP}
  --seed NUMBER        repeats the texts that the model draws, and their order (default: 0)

Training
  --tokens NUMBER      tokens to learn from; texts come again where there are fewer (default: 0, which trains nothing)
  --teacher NAME       own: the model's own distribution before; none: the next token of the texts (default: own)
  --batch NUMBER       sequences of a step (default: 16)
  --rate NUMBER        largest learning rate of AdamW; it rises at first, and falls as a cosine (default: 0.001)
  --resume             goes on with a training that Ctrl-C, or anything else, ended

  --json [FILE]        all figures, for programs; without a FILE to the standard output, in the table's place; they are in
                       uptrain.json of the folder too
  --help               this text`;

/** The options of the command line. */
export interface UptrainOptions extends ModelOptions, TextOptions, TrainingSizes {
  kvHeads: number;
  init: PoolMethod;
  /** The folder to write. */
  out: string;
  teacher: typeof TEACHERS[number];
  resume: boolean;
  /** A file, or "" for the standard output. */
  json?: string;
}

const NAMES = [
  ...["model", "tokenizer", "kv-heads", "init", "out", "teacher", "json"],
  ...TEXT_NAMES,
  ...SIZE_NAMES,
] as const;

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown, missing or lacks its value.
 * @throws {RangeError} If a value is out of range, or options contradict each other.
 */
export function parseOptions(args: readonly string[]): UptrainOptions | string {
  const given = new Arguments(ACTION, args, {
    ...{ names: NAMES, bare: ["json"], flags: ["resume"] },
  });
  if (given.isHelp) return HELP;
  given.required("kv-heads");
  const sizes = trainingSizesOf(given, USUAL_SIZES, { leastTokens: 0 });
  for (const name of ["teacher", "batch", "rate", "resume"] as const) {
    if (sizes.tokens > 0 || !given.has(name)) continue;
    throw new RangeError(`Cannot ${ACTION} as --${name} needs --tokens above 0 beside it`);
  }
  return {
    model: given.required("model"),
    tokenizer: given.text("tokenizer"),
    kvHeads: given.number("kv-heads", { min: 1 })!,
    init: given.choice("init", POOL_METHODS) ?? "merged",
    out: given.required("out"),
    ...textOptionsOf(ACTION, given, sizes.tokens),
    ...sizes,
    teacher: given.choice("teacher", TEACHERS) ?? "own",
    resume: given.has("resume"),
    json: given.text("json"),
  };
}
