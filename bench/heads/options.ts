/** The command line of `bench heads`. */
import { Arguments } from "../../cli/shared/arguments.ts";
import type { ModelOptions } from "../../cli/shared/model_options.ts";
import type { TrainingSizes } from "../../cli/shared/training/learn.ts";
import {
  SIZE_NAMES,
  TEXT_NAMES,
  TEXT_SIZES_HELP,
  textOptionsOf,
  trainingSizesOf,
} from "../../cli/shared/training/options.ts";
import type { TextOptions } from "../../cli/shared/training/texts.ts";

const USUAL_SIZES: TrainingSizes = { tokens: 262_144, batch: 4, rate: 0.003 };
const USUAL_SEEDS = 3;
const WIDTHS = ["same", "wider"] as const;

/** The widths of feed-forward layers: the model's, or the one by which fewer KV heads cost no parameters. */
export type Width = typeof WIDTHS[number];

export const HELP =
  `Trains the architecture of a model from scratch with several numbers of KV heads, on the same tokens in the same order, and
says what fewer of them cost.

Usage: deno run bench heads --model FILE --tokenizer FILE --out DIR [options]

The architecture
  --model FILE         a checkpoint: a .bin of llama2.c, a .safetensors or its index, or the folder of a Hugging Face model;
                       its weights do nothing but draw texts
  --tokenizer FILE     its tokenizer: a .bin of llama2.c, or a tokenizer.json or its folder (default: that of the model)
  --layers NUMBER      layers, its first ones (default: all)
  --kv-heads NUMBERS   KV heads to compare, which divide its query heads (default: as many as query heads, halved down to 1)
  --feed-forward NAMES widths of the feed-forward layers: same (the model's), wider (by as much as makes up for the
                       parameters of the KV heads that are gone, as in Shazeer 2019), or both (default: same)

The texts
  --text FILE          a text to learn from; its last part is held out to measure by
${TEXT_SIZES_HELP}
  --seed NUMBER        repeats the texts that the model draws, and the trainings (default: 0)

Training
  --tokens NUMBER      tokens that each model learns from; texts come again where there are fewer (default: ${USUAL_SIZES.tokens})
  --batch NUMBER       sequences of a step (default: ${USUAL_SIZES.batch})
  --rate NUMBER        largest learning rate of AdamW; it rises at first, and falls as a cosine (default: ${USUAL_SIZES.rate})
  --seeds NUMBER       trainings of each model, which differ in their random weights and the order of the texts
                       (default: ${USUAL_SEEDS})

Results
  --out DIR            a folder that is absent or empty, for heads.json and heads.svg; each training is kept there when it
                       is done
  --resume             goes on in that folder, on the same adapter: trainings that it has are not done again, more of them
                       may be asked for

  --help               this text`;

/** The options of the command line. */
export interface HeadsOptions extends ModelOptions, TextOptions, TrainingSizes {
  /** Layers; all of the model where it is absent. */
  layers?: number;
  /** KV heads; those that halve the query heads where they are absent. */
  kvHeads?: readonly number[];
  widths: readonly Width[];
  seeds: number;
  /** The folder of the results. */
  out: string;
  resume: boolean;
}

/** What cannot be done, in messages. */
export const ACTION = "compare heads";
const NAMES = [
  ...["model", "tokenizer", "layers", "kv-heads", "feed-forward", "seeds", "out"],
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
export function parseHeadsOptions(args: readonly string[]): HeadsOptions | string {
  const given = new Arguments(ACTION, args, { names: NAMES, flags: ["resume"] });
  if (given.isHelp) return HELP;
  const sizes = trainingSizesOf(given, USUAL_SIZES, { leastTokens: 1 });
  return {
    model: given.required("model"),
    tokenizer: given.text("tokenizer"),
    layers: given.number("layers", { min: 1 }),
    kvHeads: given.numbers("kv-heads", { min: 1 }),
    widths: given.choices("feed-forward", WIDTHS) ?? ["same"],
    ...textOptionsOf(ACTION, given, sizes.tokens),
    ...sizes,
    seeds: given.number("seeds", { min: 1 }) ?? USUAL_SEEDS,
    out: given.required("out"),
    resume: given.has("resume"),
  };
}
