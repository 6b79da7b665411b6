import { addOuter } from "../../base/linear_algebra.ts";
import {
  affineOf,
  changed,
  project,
  projectionOf,
  withColumn,
} from "../../layer/merging/affine.ts";
import { Ridge } from "../../layer/merging/ridge.ts";
import type { Projection } from "../../layer/attention_weights.ts";

/** Tokens that are added up at a time; every eighth of these chunks is held out. */
const CHUNK = 16;
const HELD_OUT = 8;

/**
 * Refits the last projection of a feed-forward layer by least squares.
 *
 * @param down The projection as it is [dim, hiddenDim].
 * @param inside What it reads [tokens, hiddenDim].
 * @param errors What the residual stream lacks behind it [tokens, dim].
 * @returns The projection: as it was, where the refitted one does worse with tokens that it was not fitted to.
 */
export function refitDown(
  down: Projection,
  inside: Float32Array,
  errors: Float32Array,
): Projection {
  const [dim, hiddenDim] = down.weight.shape;
  const affine = affineOf(down);
  const width = hiddenDim + 1;
  const tokens = errors.length / dim;
  const chunkOf = (first: number) => {
    const end = Math.min(first + CHUNK, tokens);
    const rows = inside.subarray(first * hiddenDim, end * hiddenDim);
    return {
      inputs: withColumn(rows, hiddenDim, affine.hasBias ? 1 : 0),
      errors: Float64Array.from(errors.subarray(first * dim, end * dim)),
      rows: end - first,
    };
  };
  const moments = new Float64Array(width * width);
  const cross = new Float64Array(width * dim);
  const heldOut: number[] = [];
  for (let first = 0, chunk = 0; first < tokens; first += CHUNK, chunk++) {
    if (chunk % HELD_OUT === HELD_OUT - 1) {
      heldOut.push(first);
      continue;
    }
    const { inputs, errors, rows } = chunkOf(first);
    addOuter(moments, inputs, inputs, rows);
    addOuter(cross, inputs, errors, rows);
  }
  const change = new Ridge(moments).change(cross);
  let [before, after] = [0, 0];
  for (const first of heldOut) {
    const { inputs, errors } = chunkOf(first);
    const taken = project(inputs, change, dim);
    errors.forEach((error, i) => {
      before += error ** 2;
      after += (error - taken[i]) ** 2;
    });
  }
  return after < before ? projectionOf(changed(affine, change)) : down;
}
