/** The projections of an attention layer, on the host. */
import { checkGroups, checkInteger, checkObject, sentence } from "../base/check.ts";
import type { AttentionWeights, Projection } from "./attention_weights.ts";
import { splitQkv } from "./qkv_weights.ts";
import { checkHostTensor, type HostTensor } from "../tensor/tensor.ts";

/** Heads and sizes of a layer. */
interface LayerShape {
  dim: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
}

/** The projections of a layer apart; throws unless its heads divide and they have the shapes that it needs. */
export function projectionsOf(
  action: string,
  weights: AttentionWeights,
  shape: LayerShape,
): Record<"q" | "k" | "v" | "o", Projection> {
  checkObject(action, "weights", weights);
  const { dim, numHeads, numKvHeads, headDim } = shape;
  for (const [name, value] of Object.entries(shape)) checkInteger(action, name, value);
  checkGroups(action, shape);
  const [qWidth, kvWidth] = [numHeads * headDim, numKvHeads * headDim];
  let apart;
  if ("qkv" in weights) {
    checkProjection(action, "qkv", weights.qkv, [qWidth + 2 * kvWidth, dim]);
    apart = split(weights.qkv, { ...shape, arrangement: weights.arrangement });
  } else {
    apart = weights;
    checkProjection(action, "q", weights.q, [qWidth, dim]);
    checkProjection(action, "k", weights.k, [kvWidth, dim]);
    checkProjection(action, "v", weights.v, [kvWidth, dim]);
  }
  checkProjection(action, "o", weights.o, [dim, qWidth]);
  for (const name of ["qNorm", "kNorm"] as const) {
    if (weights[name] !== undefined) checkHostTensor(action, name, weights[name], [headDim]);
  }
  const { q, k, v } = apart;
  return { q, k, v, o: weights.o };
}

function split(
  { weight, bias }: Projection,
  options: LayerShape & { arrangement: "concatenated" | "interleaved" },
): Record<"q" | "k" | "v", Projection> {
  const weights = splitQkv(weight.data, options);
  const biases = bias && splitQkv(bias.data, options);
  const projection = (name: "q" | "k" | "v"): Projection => {
    const data = weights[name];
    const rows = data.length / options.dim;
    return {
      weight: { data, shape: [rows, options.dim] },
      ...(biases && { bias: { data: biases[name], shape: [rows] } }),
    };
  };
  return { q: projection("q"), k: projection("k"), v: projection("v") };
}

export function checkProjection(
  action: string,
  name: string,
  projection: Projection,
  shape: [number, number],
): void {
  if (!projection?.weight) {
    throw new TypeError(sentence(action, `${name} must have a weight`, { [name]: projection }));
  }
  checkHostTensor(action, `${name}.weight`, projection.weight, shape);
  const { bias } = projection;
  if (bias !== undefined) checkHostTensor(action, `${name}.bias`, bias, shape.slice(0, 1));
}

/** Rows of several projections of the same input, one after the other. */
export function concatenated(projections: readonly Projection[]): Projection {
  const joined = (tensors: readonly HostTensor[]): HostTensor => {
    const data = new Float32Array(tensors.reduce((sum, { data }) => sum + data.length, 0));
    let offset = 0;
    for (const tensor of tensors) {
      data.set(tensor.data, offset);
      offset += tensor.data.length;
    }
    const rows = tensors.reduce((sum, { shape }) => sum + shape[0], 0);
    return { data, shape: [rows, ...tensors[0].shape.slice(1)] };
  };
  const weight = joined(projections.map(({ weight }) => weight));
  if (projections.every(({ bias }) => !bias)) return { weight };
  const zeros = (length: number) => ({ data: new Float32Array(length), shape: [length] });
  return {
    weight,
    bias: joined(projections.map(({ weight, bias }) => bias ?? zeros(weight.shape[0]))),
  };
}
