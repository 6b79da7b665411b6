/** Holding the tokens of systems against the float64 reference. */
import type { ReferenceDecoder } from "../../src/model/mod.ts";

/** Logits of f32 models are nearer than this: a token so far from the likeliest is as good. */
const TIE = 1e-3;

/**
 * Whether each of the new tokens is the likeliest behind those before it.
 *
 * @returns The reason why not; undefined where all of them are.
 */
export function faultOf(
  reference: ReferenceDecoder,
  prompt: readonly number[],
  tokens: readonly number[],
): string | undefined {
  const { vocabSize } = reference.spec;
  const stranger = tokens.find((token) =>
    !(Number.isInteger(token) && token >= 0 && token < vocabSize)
  );
  if (stranger !== undefined) return `${stranger} is no token`;
  const { logits } = reference.forward([...prompt, ...tokens.slice(0, -1)]);
  for (const [i, token] of tokens.entries()) {
    const start = (prompt.length + i - 1) * vocabSize;
    const row = logits.subarray(start, start + vocabSize);
    const most = row.reduce((a, b) => Math.max(a, b));
    if (most - row[token] <= TIE) continue;
    return `new token ${i + 1} is ${token}, and ${row.indexOf(most)} is likelier by ${
      (most - row[token]).toPrecision(2)
    }`;
  }
}
