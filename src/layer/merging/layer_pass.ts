/** An attention layer in float64 over the sampled queries of its inputs. */
import type { HostTensor } from "../../tensor/tensor.ts";
import { type Affine, project, withColumn } from "./affine.ts";
import type { LayerInputs } from "./layer_inputs.ts";
import type { SampledAttention } from "./sampled_attention.ts";

/** Norms of queries and keys. */
export interface HeadNorms {
  qNorm?: HostTensor;
  kNorm?: HostTensor;
  eps: number;
}

/** `q . k`, packed. */
export function productsOf(
  { q, k }: { q: Affine; k: Affine },
  inputs: LayerInputs,
  attention: SampledAttention,
  { qNorm, kNorm, eps }: HeadNorms,
): Float64Array {
  const queries = project(attention.sampled(inputs.all), q.matrix, q.out);
  const keys = project(inputs.all, k.matrix, k.out);
  if (qNorm) normalise(queries, qNorm.data, eps);
  if (kNorm) normalise(keys, kNorm.data, eps);
  return attention.products(attention.rotateQueries(queries), attention.rotateKeys(keys));
}

/** The inputs of W_O [samples, numHeads headDim + 1], and its outputs [samples, dim]. */
export function outputsOf(
  { v, o }: { v: Affine; o: Affine },
  inputs: LayerInputs,
  attention: SampledAttention,
  weights: Float64Array,
): { attended: Float64Array; outputs: Float64Array } {
  const rows = attention.gather(weights, project(inputs.all, v.matrix, v.out));
  const attended = withColumn(rows, rows.length / attention.samples.length, o.hasBias ? 1 : 0);
  return { attended, outputs: project(attended, o.matrix, o.out) };
}

/** RMSNorm of each head, in place. */
function normalise(rows: Float64Array, gain: ArrayLike<number>, eps: number): void {
  const size = gain.length;
  for (let row = 0; row < rows.length; row += size) {
    let square = 0;
    for (let i = 0; i < size; i++) square += rows[row + i] ** 2;
    const deviation = Math.sqrt(square / size + eps);
    for (let i = 0; i < size; i++) rows[row + i] *= gain[i] / deviation;
  }
}
