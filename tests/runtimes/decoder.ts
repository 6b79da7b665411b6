/** Generates tokens by a small decoder, and computes its logits in float64. */
import type { Gpu } from "@onehead/attention";
import {
  Decoder,
  type DecoderSpec,
  randomWeights,
  ReferenceDecoder,
} from "@onehead/attention/decoder";
import type { Random } from "../support/random.ts";
import { difference } from "./difference.ts";

/** A decoder of random weights. */
export interface DecoderCase {
  name: string;
  spec: DecoderSpec;
  /** Which of the weights that a decoder may lack are there. */
  has: readonly string[];
}

const SIZES = { dim: 12, hiddenDim: 20, numHeads: 2, numKvHeads: 1, headDim: 6, contextLen: 16 };

export const DECODERS: readonly DecoderCase[] = [
  {
    name: "Decoder, RMSNorm, gated",
    spec: {
      ...{ ...SIZES, vocabSize: 37, layers: [{ rope: {} }], norm: { kind: "rms", eps: 1e-5 } },
      ...{ activation: "silu", isGated: true, isParallel: false },
    },
    has: [],
  },
  {
    name: "Decoder, LayerNorm, learned positions",
    spec: {
      ...{ ...SIZES, vocabSize: 300, layers: [{}], norm: { kind: "layer", eps: 1e-5 } },
      ...{ activation: "gelu", isGated: false, isParallel: false },
    },
    has: ["positions.weight", "attentionNorm.bias", "up.bias", "finalNorm.bias"],
  },
];

/**
 * The largest difference of logits from the reference; NaN where something is not a number.
 *
 * @throws {Error} If a token is not the likeliest: greedy, or drawn from so few that it is the only one.
 */
export async function decoderError(
  gpu: Gpu,
  { spec, has }: DecoderCase,
  random: Random,
): Promise<number> {
  const seed = random.integer(0, 2 ** 32 - 1);
  const weights = randomWeights(spec, {
    seed,
    has: (name) => has.some((end) => name.endsWith(end)),
  });
  const reference = await ReferenceDecoder.create(spec, weights);
  const decoder = await Decoder.create(gpu, spec, weights, { maxSeqLen: 4 });
  const prompt = [1, 5, 3, 2, 7];
  const tokens = [...prompt];
  const logits = [...await decoder.forward(prompt)];
  for (const temperature of [0, 1]) {
    for await (const next of decoder.generate({ tokens: 3, temperature, topP: 1e-6, seed })) {
      tokens.push(...next);
    }
  }
  const expected = reference.forward(tokens).logits;
  const rows = Array.from(
    tokens,
    (_, i) => [...expected.subarray(i * spec.vocabSize, (i + 1) * spec.vocabSize)],
  );
  const likeliest = rows.map((row) => row.indexOf(Math.max(...row))).slice(prompt.length - 1, -1);
  const chosen = tokens.slice(prompt.length);
  if (`${chosen}` !== `${likeliest}`) throw new Error(`it chose ${chosen}, not ${likeliest}`);
  return difference(logits, expected.subarray(0, logits.length));
}
