/** The options by which several commands name texts, and the sizes of a training. */
import type { Arguments } from "../arguments.ts";
import type { TrainingSizes } from "./learn.ts";
import type { TextOptions } from "./texts.ts";

/** Tokens that the model draws, unless the user asks for another number: as many as are learned from, within these. */
const USUAL_DRAWN = { least: 32_768, most: 262_144 };
/** Most tokens to measure by, unless the user asks for another number. */
const USUAL_HELD_OUT = 8192;

/** The lines of a help text on how many tokens are drawn, and how many held out. */
export const TEXT_SIZES_HELP =
  `  --self-drawn NUMBER  tokens that the model draws instead (default: as --tokens, from ${USUAL_DRAWN.least} to ${USUAL_DRAWN.most})
  --held-out NUMBER    most tokens to measure by (default: ${USUAL_HELD_OUT}; of --text at most an eighth of it)`;

/** The names of the options of texts. */
export const TEXT_NAMES = ["text", "self-drawn", "held-out", "seed"] as const;
/** The names of the options of a training. */
export const SIZE_NAMES = ["tokens", "batch", "rate"] as const;

/**
 * The texts that the command line asks for.
 *
 * @param tokens Tokens to learn from.
 * @throws {RangeError} If a value is out of range, or both a file and drawn texts are asked for.
 */
export function textOptionsOf(
  action: string,
  given: Pick<Arguments<typeof TEXT_NAMES[number]>, "has" | "text" | "number">,
  tokens: number,
): TextOptions {
  if (given.has("text") && given.has("self-drawn")) {
    throw new RangeError(`Cannot ${action} as --text goes without --self-drawn`);
  }
  const { least, most } = USUAL_DRAWN;
  return {
    text: given.text("text"),
    selfDrawn: given.number("self-drawn", { min: 2 }) ?? Math.max(least, Math.min(most, tokens)),
    heldOut: given.number("held-out", { min: 2 }) ?? USUAL_HELD_OUT,
    seed: given.number("seed", { min: 0, max: 2 ** 32 - 1 }) ?? 0,
  };
}

/** The sizes of a training that the command line asks for, or else the usual ones. */
export function trainingSizesOf(
  given: Pick<Arguments<typeof SIZE_NAMES[number]>, "number">,
  usual: TrainingSizes,
  { leastTokens }: { leastTokens: number },
): TrainingSizes {
  return {
    tokens: given.number("tokens", { min: leastTokens }) ?? usual.tokens,
    batch: given.number("batch", { min: 1 }) ?? usual.batch,
    rate: given.number("rate", { min: Number.MIN_VALUE, isFraction: true }) ?? usual.rate,
  };
}
