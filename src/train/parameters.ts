/** The weights of a decoder that is trained, on the device. */
import { sentence } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import { Linear } from "../layer/linear.ts";
import { Norm } from "../layer/norm.ts";
import { WeightMatrix } from "../layer/weight_matrix.ts";
import type { DecoderSpec } from "../model/spec.ts";
import { readWeight } from "../model/read_weight.ts";
import { weightShapes } from "../model/weight_shapes.ts";
import type { DecoderWeights } from "../model/weights.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Components whose gradients nobody has written yet. */
const UNTRAINED = ["positions", "qNorm", "kNorm", "postAttentionNorm", "postMlpNorm"];

/** Throws unless a decoder has the architecture that is trained. */
export function checkArchitecture(
  action: string,
  spec: DecoderSpec,
  weights: DecoderWeights,
): void {
  if (spec.isParallel) {
    const rule = "attention and feed-forward must follow each other, not be parallel";
    throw new RangeError(sentence(action, rule, { isParallel: true }));
  }
  const untrained = weightShapes(spec).map(({ name }) => name).filter((name) =>
    UNTRAINED.some((component) => name.endsWith(`${component}.weight`)) && weights.has(name)
  );
  if (untrained.length === 0) return;
  const rule = "learned positions, norms of heads and norms behind a layer are not trained";
  throw new RangeError(sentence(action, rule, { weights: untrained }));
}

/** Weights in f32 by their uniform names, and the modules of the forward pass that read them. */
export class Parameters {
  /** Every weight, in the order of the model. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly #gpu: Gpu;
  readonly #owned: Owned;
  readonly #matrices: ReadonlyMap<string, WeightMatrix>;
  #gradients: ReadonlyMap<string, Tensor> = new Map();

  private constructor(
    gpu: Gpu,
    owned: Owned,
    made: { tensors: ReadonlyMap<string, Tensor>; matrices: ReadonlyMap<string, WeightMatrix> },
  ) {
    this.#gpu = gpu;
    this.#owned = owned;
    this.tensors = made.tensors;
    this.#matrices = made.matrices;
  }

  /**
   * Uploads the weights; `owned` keeps them and the modules over them.
   *
   * @throws {RangeError} If a weight has another shape, or a matrix does not fit one binding of the device.
   */
  static async upload(
    gpu: Gpu,
    owned: Owned,
    action: string,
    spec: DecoderSpec,
    weights: DecoderWeights,
  ): Promise<Parameters> {
    const tensors = new Map<string, Tensor>();
    const matrices = new Map<string, WeightMatrix>();
    for (const { name, shape, isOptional } of weightShapes(spec)) {
      if (isOptional && !weights.has(name)) continue;
      const weight = await readWeight(action, weights, { name, shape });
      if (shape.length === 1) {
        tensors.set(name, owned.keep(await Tensor.upload(gpu, weight, { label: name })));
        continue;
      }
      const options = { dtype: "f32", label: name } as const;
      const matrix = owned.keep(await WeightMatrix.upload(gpu, weight, options));
      if (matrix.bands.length > 1) {
        const { maxStorageBufferBindingSize } = gpu.device.limits;
        const rule = "a matrix must fit one binding of the device to be trained";
        const values = { matrix: name, bytes: matrix.bytes, maxStorageBufferBindingSize };
        throw new RangeError(sentence(action, rule, values));
      }
      matrices.set(name, matrix);
      tensors.set(name, matrix.bands[0].w);
    }
    return new Parameters(gpu, owned, { tensors, matrices });
  }

  /** Takes the gradient of each weight, in the order of {@linkcode Parameters.tensors}. */
  setGradients(gradients: readonly Tensor[]): void {
    this.#gradients = new Map([...this.tensors.keys()].map((name, i) => [name, gradients[i]]));
  }

  /** The gradient of a weight, if there is one. */
  gradient(name: string): GPUBuffer | undefined {
    return this.#gradients.get(name)?.buffer;
  }

  matrix(component: string): WeightMatrix {
    return this.#matrices.get(`${component}.weight`)!;
  }

  linear(component: string): Linear {
    const bias = this.tensors.get(`${component}.bias`);
    const weights = { w: this.matrix(component), ...(bias && { bias }) };
    return this.#owned.keep(new Linear(this.#gpu, component, weights));
  }

  async norm(component: string, { norm }: DecoderSpec): Promise<Norm> {
    const gain = this.tensors.get(`${component}.weight`)!;
    const bias = this.tensors.get(`${component}.bias`);
    return this.#owned.keep(await Norm.create(this.#gpu, { gain, ...(bias && { bias }) }, norm));
  }
}
