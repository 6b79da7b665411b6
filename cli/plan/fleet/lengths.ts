/** Distributions of tokens: of prompts, and of answers. */
import { sentence } from "../../../src/base/check.ts";

/** Whole numbers between two bounds, each as likely as another. */
export interface Lengths {
  least: number;
  most: number;
}

/**
 * Reads a distribution: "512" is always 512, "64-2k" any whole number from 64 to 2,048.
 *
 * @throws {RangeError} If it is neither.
 */
export function parseLengths(option: string, text: string): Lengths {
  const [least, most = least, ...more] = text.split("-").map(parseTokens);
  if (least >= 1 && most >= least && more.length === 0) return { least, most };
  const rule = `${option} takes tokens, as 512, or least and most tokens, as 64-2k`;
  throw new RangeError(sentence("plan a fleet", rule, { [option]: text }));
}

/** Draws one; `random` is uniform in [0, 1). */
export function drawLength({ least, most }: Lengths, random: () => number): number {
  return least + Math.floor(random() * (most - least + 1));
}

/** A whole number, with k for 1024; NaN where it is none. */
function parseTokens(text: string): number {
  const [, digits, suffix] = text.trim().match(/^(\d+)(k?)$/i) ?? [];
  return Number(digits ?? NaN) * (suffix ? 1024 : 1);
}
