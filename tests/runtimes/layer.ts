/** Computes a whole attention layer, a prompt and then a token, on the GPU and in float64. */
import {
  type Gpu,
  type KvDtype,
  MultiQueryAttention,
  referenceLayer,
  Tensor,
} from "@onehead/attention";
import type { Random } from "../support/random.ts";
import { difference } from "./difference.ts";

/** A layer with rotary positions. */
export interface LayerCase {
  name: string;
  /** Whether queries and keys are normalised. */
  normed: boolean;
  weightDtype: KvDtype;
}

export const LAYERS: readonly LayerCase[] = [
  { name: "MQA layer, normed", normed: true, weightDtype: "f32" },
  { name: "MQA layer, weights in int8", normed: false, weightDtype: "int8" },
];

/** The largest difference from the reference; NaN where something is not a number. */
export async function layerError(
  gpu: Gpu,
  { normed, weightDtype }: LayerCase,
  random: Random,
): Promise<number> {
  const [dim, numHeads, headDim, tokens] = [24, 6, 8, 7];
  const matrix = async (rows: number, columns: number) => {
    const { data, shape } = random.tensor([rows, columns]);
    const scaled = data.map((value) => value * Math.sqrt(3 / columns));
    // The numbers that its storage holds.
    const stored = await Tensor.upload(gpu, { data: scaled, shape }, { dtype: weightDtype });
    return { weight: { data: await stored.download(), shape } };
  };
  const weights = {
    q: { ...await matrix(numHeads * headDim, dim), bias: random.tensor([numHeads * headDim]) },
    k: await matrix(headDim, dim),
    v: await matrix(headDim, dim),
    o: await matrix(dim, numHeads * headDim),
    ...(normed && { qNorm: random.tensor([headDim]), kNorm: random.tensor([headDim]) }),
  };
  const rope = {};
  const layer = await MultiQueryAttention.create(gpu, weights, {
    ...{ dim, numHeads, headDim, weightDtype },
    cache: { capacity: tokens, maxSeqLen: tokens - 1, rope },
  });
  const x = random.tensor([1, tokens, dim]);
  const prompt = x.data.subarray(0, (tokens - 1) * dim);
  const last = x.data.subarray((tokens - 1) * dim);
  const first = await layer.forward({ data: prompt, shape: [1, tokens - 1, dim] });
  const next = await layer.forward({ data: last, shape: [1, 1, dim] });
  const expected = referenceLayer(weights, x, { numHeads, numKvHeads: 1, headDim, rope });
  return difference([...first.data, ...next.data], expected.data);
}
