import { addOuter, identity, product } from "../../base/linear_algebra.ts";
import type { HostTensor } from "../../tensor/tensor.ts";
import { type Affine, withColumn, withoutBias } from "./affine.ts";
import { Ridge } from "./ridge.ts";

/** A layer's inputs in float64, with a 1 behind each token for biases. */
export class LayerInputs {
  /** All tokens [tokens, dim + 1]. */
  readonly all: Float64Array;
  /** Mean second moments of all tokens [dim + 1, dim + 1]. */
  readonly moment: Float64Array;
  #inverse: Float64Array | undefined;

  /** @param x [B, S, dim] */
  constructor({ data, shape }: HostTensor) {
    const dim = shape[2];
    const width = dim + 1;
    const tokens = data.length / dim;
    this.all = withColumn(data, dim, 1);
    const sum = new Float64Array(width * width);
    addOuter(sum, this.all, this.all, tokens);
    this.moment = sum.map((value) => value / tokens);
  }

  /** A step along the gradient of a projection, as long as it is in outputs: times the inverse of the second moments. */
  precondition(gradient: Float64Array, affine: Affine): Float64Array {
    const width = affine.matrix.length / affine.out;
    this.#inverse ??= new Ridge(this.moment).solve(identity(width));
    return withoutBias(product(gradient, this.#inverse, width), affine);
  }
}
