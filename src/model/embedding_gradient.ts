/** The gradient of embeddings, beside {@linkcode Embedding}. */
import * as wgsl from "../../kernels/mod.ts";
import { type BoundWork, boundWork, gridOfRows } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { Kernel } from "../gpu/kernel.ts";
import { Owned } from "../gpu/owned.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { packSize } from "../tensor/loads.ts";
import { storedPackPiece } from "../tensor/pieces.ts";
import { Tensor } from "../tensor/tensor.ts";

const WORKGROUP = 64;

/** The module that adds to the gradient of embeddings. */
export function embedGradientModule(
  dim: number,
  profile: Pick<DeviceProfile, "longLoads">,
): WgslModule {
  return join("embed gradient", storedPackPiece(packSize(dim), profile), {
    constants: { IN: dim, WORKGROUP },
    fragments: [wgsl.putPack.sum, wgsl.embedGradient],
  });
}

/** The places of tokens, sorted by token. */
export interface TokenOrder {
  /** The first place of each token in `order`, and the end of the last [vocabSize + 1]. */
  starts: Uint32Array;
  /** Places of tokens, those of one token in ascending order [tokens]. */
  order: Uint32Array;
}

/** Sorts the places of tokens by token. */
export function orderOf(tokens: ArrayLike<number>, vocabSize: number): TokenOrder {
  const starts = new Uint32Array(vocabSize + 1);
  for (let place = 0; place < tokens.length; place++) starts[tokens[place] + 1]++;
  for (let token = 0; token < vocabSize; token++) starts[token + 1] += starts[token];
  const next = starts.slice();
  const order = new Uint32Array(tokens.length);
  for (let place = 0; place < tokens.length; place++) order[next[tokens[place]]++] = place;
  return { starts, order };
}

/**
 * The gradient of the embeddings of a number of tokens. The host sorts their places, so that each row of the gradient is one
 * sum, in the same order in every run.
 */
export class EmbeddingGradient {
  readonly #gpu: Gpu;
  readonly #vocabSize: number;
  readonly #starts: Tensor;
  readonly #order: Tensor;
  readonly #owned: Owned;

  private constructor(
    gpu: Gpu,
    made: { vocabSize: number; starts: Tensor; order: Tensor; owned: Owned },
  ) {
    this.#gpu = gpu;
    this.#vocabSize = made.vocabSize;
    this.#starts = made.starts;
    this.#order = made.order;
    this.#owned = made.owned;
  }

  /** Allocates the order of `numTokens` tokens. */
  static async create(
    gpu: Gpu,
    { vocabSize, numTokens }: { vocabSize: number; numTokens: number },
  ): Promise<EmbeddingGradient> {
    return await Owned.make(async (owned) => {
      const tensor = async (label: string, length: number) =>
        owned.keep(await Tensor.empty(gpu, [length], { dtype: "u32", label }));
      const starts = await tensor("starts of tokens", vocabSize + 1);
      const order = await tensor("order of tokens", numTokens);
      return new EmbeddingGradient(gpu, { vocabSize, starts, order, owned });
    });
  }

  /** Writes the order of the tokens of the next backward pass. */
  write(tokens: ArrayLike<number>): void {
    const { starts, order } = orderOf(tokens, this.#vocabSize);
    const { queue } = this.#gpu.device;
    queue.writeBuffer(this.#starts.buffer, 0, starts as Uint32Array<ArrayBuffer>);
    queue.writeBuffer(this.#order.buffer, 0, order as Uint32Array<ArrayBuffer>);
  }

  /** Binds `dy` f32 [tokens, dim] to the sum of it, by tokens and times `scale`, and `dw` f32 [vocabSize, dim]. */
  async bind(
    { dy, dw }: Record<"dy" | "dw", GPUBuffer>,
    { dim, scale = 1 }: { dim: number; scale?: number },
  ): Promise<BoundWork> {
    const kernel = await Kernel.compile(this.#gpu, embedGradientModule(dim, this.#gpu.profile));
    const params = kernel.uniform({ numRows: this.#vocabSize, scale });
    this.#owned.keep(params);
    const workgroups = Math.ceil(this.#vocabSize * dim / packSize(dim) / WORKGROUP);
    const { maxComputeWorkgroupsPerDimension } = this.#gpu.device.limits;
    return boundWork([
      kernel.bind(
        { params, starts: this.#starts.buffer, order: this.#order.buffer, dy, y: dw },
        gridOfRows(workgroups, maxComputeWorkgroupsPerDimension),
      ),
    ]);
  }

  destroy(): void {
    this.#owned.destroy();
  }
}
