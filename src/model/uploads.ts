/** Weights on their way to the device, by their uniform names. */
import type { Gpu } from "../gpu/device.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { WeightMatrix } from "../layer/weight_matrix.ts";
import { Norm, type NormOptions } from "../layer/norm.ts";
import type { Owned } from "../gpu/owned.ts";
import type { DecoderSource } from "./decoder_source.ts";
import { readWeight } from "./read_weight.ts";
import { weightShapes } from "./weight_shapes.ts";
import type { DecoderWeights, WeightData } from "./weights.ts";

/** Uploads weights, all of which `owned` keeps. */
export class Uploads {
  /** What cannot be done where a weight is wrong: "create Decoder". */
  readonly action: string;
  readonly owned: Owned;
  readonly #gpu: Gpu;
  readonly #weights: DecoderWeights;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;

  constructor(
    action: string,
    gpu: Gpu,
    owned: Owned,
    { spec, weights }: DecoderSource,
  ) {
    this.action = action;
    this.owned = owned;
    this.#gpu = gpu;
    this.#weights = weights;
    this.#shapes = new Map(weightShapes(spec).map(({ name, shape }) => [name, shape]));
  }

  /** Reads a weight that must exist. */
  async read(name: string): Promise<WeightData> {
    return await readWeight(this.action, this.#weights, { name, shape: this.#shapes.get(name)! });
  }

  /** Reads a weight if it exists. */
  async optional(name: string): Promise<WeightData | undefined> {
    return this.#weights.has(name) ? await this.read(name) : undefined;
  }

  async tensor(label: string, data: WeightData): Promise<Tensor> {
    return this.owned.keep(await Tensor.upload(this.#gpu, data, { label }));
  }

  async matrix(label: string, data: WeightData, dtype: KvDtype): Promise<WeightMatrix> {
    return this.owned.keep(await WeightMatrix.upload(this.#gpu, data, { dtype, label }));
  }

  /** A norm that must exist. */
  async norm(name: string, options: NormOptions): Promise<Norm> {
    const bias = await this.optional(`${name}.bias`);
    return this.owned.keep(
      await Norm.create(this.#gpu, {
        gain: await this.tensor(name, await this.read(`${name}.weight`)),
        ...(bias && { bias: await this.tensor(name, bias) }),
      }, options),
    );
  }

  /** A norm, if it exists. */
  async optionalNorm(
    name: string,
    options: NormOptions,
  ): Promise<Norm | undefined> {
    return this.#weights.has(`${name}.weight`) ? await this.norm(name, options) : undefined;
  }
}
