// Texts that are to be the same, chosen by logits that are summed up in other orders.
import { assert, assertEquals } from "@std/assert";
import type { DecoderOptions, ReferenceDecoder } from "../../src/model/mod.ts";
import { fillInSampling, type Sampling } from "../../src/model/sampling.ts";
import { choicesOf } from "./sampling.ts";

/** Part of what decides a choice that may differ where sums are added up in another order. */
const NEAR = 3e-3;

/** Asserts that two texts are one, up to a choice that lies too near to a border for f32. */
export function assertText(
  actual: readonly number[],
  expected: readonly number[],
  { tokens, ...asked }: Partial<Sampling> & { tokens: readonly number[] },
  reference: ReferenceDecoder,
  window: Pick<DecoderOptions, "window" | "sinks"> = {},
): void {
  assertEquals(actual.length, expected.length);
  const i = actual.findIndex((token, i) => token !== expected[i]);
  if (i < 0) return;
  const { vocabSize } = reference.spec;
  const generated = actual.slice(0, i);
  const soFar = [...tokens, ...generated];
  const logits = reference.forward(soFar, window).logits.slice(-vocabSize);
  const sampling = fillInSampling("test", asked, vocabSize);
  const choices = choicesOf(logits, sampling, { prompt: tokens, generated }, soFar.length, NEAR);
  const both = `${actual[i]} and ${expected[i]} of ${[...choices]} at ${i}`;
  assert(choices.has(actual[i]) && choices.has(expected[i]), both);
}
