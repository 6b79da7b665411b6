/** The fingerprint of a model: peers that have the same one continue each other's texts. */
import { checkFunction, checkInteger, checkNumbers, checkObject } from "../base/check.ts";
import { checkSpec, checkWeights } from "../model/check_spec.ts";
import type { DecoderSpec } from "../model/spec.ts";
import type { Tokenizer } from "../model/tokenizer/tokenizer.ts";
import { weightShapes } from "../model/weight_shapes.ts";
import { readWeight } from "../model/read_weight.ts";
import type { DecoderWeights } from "../model/weights.ts";
import { encodeGiven } from "./message.ts";

const ACTION = "compute the fingerprint of a model";

/** Characters of a fingerprint: 128 bits. */
const CHARACTERS = 32;

/**
 * Computes the fingerprint of a model from its shape, all of its weights and its vocabulary. It reads each weight once.
 *
 * @param spec The shape.
 * @param weights The weights, as they are before they are stored in another element type.
 * @param tokenizer What turns tokens into text. What it encodes is not part of the fingerprint, as peers exchange tokens.
 * @returns 32 hexadecimal digits: the beginning of a SHA-256.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {CheckpointError} If a weight cannot be read.
 *
 * @example
 * ```ts
 * import { modelFingerprint } from "@onehead/attention/cluster";
 * import { type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
 *
 * const spec: DecoderSpec = {
 *   ...{ vocabSize: 3, dim: 2, hiddenDim: 2, numHeads: 1, numKvHeads: 1, headDim: 2, contextLen: 8 },
 *   ...{ layers: [{}], norm: { kind: "rms", eps: 0 }, activation: "silu" },
 *   ...{ isGated: false, isParallel: false },
 * };
 * const tokenizer = { vocabSize: 3, endOfText: [0], decode: ([token]: readonly number[]) => `${token}` };
 * const one = await modelFingerprint(spec, randomWeights(spec, { seed: 1 }), tokenizer);
 * const other = await modelFingerprint(spec, randomWeights(spec, { seed: 2 }), tokenizer);
 * console.log(one.length, one === other); // 32 false
 * ```
 */
export async function modelFingerprint(
  spec: DecoderSpec,
  weights: DecoderWeights,
  tokenizer: Pick<Tokenizer, "vocabSize" | "endOfText" | "decode">,
): Promise<string> {
  checkSpec(ACTION, spec);
  // Its fields are put in order below, which an object that holds itself has no end of.
  encodeGiven(ACTION, ["spec", spec]);
  checkWeights(ACTION, weights);
  checkObject(ACTION, "tokenizer", tokenizer);
  checkInteger(ACTION, "tokenizer.vocabSize", tokenizer.vocabSize);
  checkNumbers(ACTION, "tokenizer.endOfText", tokenizer.endOfText);
  checkFunction(ACTION, "tokenizer.decode", tokenizer.decode);
  const digests: [name: string, shape: readonly number[], digest: string][] = [];
  for (const { name, shape } of weightShapes(spec)) {
    if (!weights.has(name)) continue;
    const { data } = await readWeight(ACTION, weights, { name, shape });
    digests.push([name, shape, await digestOf(data)]);
  }
  const { vocabSize, endOfText } = tokenizer;
  const pieces = Array.from({ length: vocabSize }, (_, token) => tokenizer.decode([token]));
  const whole = JSON.stringify([sorted(spec), digests, pieces, endOfText]);
  return (await digestOf(new TextEncoder().encode(whole))).slice(0, CHARACTERS);
}

async function digestOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Promise<string> {
  const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** The same value with its fields in the order of their names; fields that are undefined are left out. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return Object.fromEntries(fields.map(([name, field]) => [name, sorted(field)]));
}
