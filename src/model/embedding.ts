/** From tokens to the residual stream. */
import type { Gpu } from "../gpu/device.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import type { Arrangement } from "../cache/new_tokens.ts";
import { type Buffers, Kernel } from "../gpu/kernel.ts";
import type { WeightMatrix } from "../layer/weight_matrix.ts";
import { packSize } from "../tensor/loads.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import { packPiece, weightPieces } from "../tensor/pieces.ts";
import * as wgsl from "../../kernels/mod.ts";

const WORKGROUP = 64;

/** The matrix of embeddings, and whether positions are learned. */
interface EmbedShape {
  dim: number;
  dtype: KvDtype;
  hasPositions: boolean;
}

/** The module that looks embeddings up: of the new tokens of one sequence, or of many end to end. */
export function embedModule(
  { dim, dtype, hasPositions }: EmbedShape,
  arrangement: Arrangement = "padded",
): WgslModule {
  const pack = packSize(dim);
  const isRagged = arrangement === "ragged";
  const learned = isRagged ? [wgsl.newTokens, wgsl.position.ragged] : [wgsl.position.learned];
  return join("embed", packPiece(pack), ...weightPieces(dtype, dim, pack, "packs"), {
    constants: { WORKGROUP },
    fragments: [
      ...(hasPositions ? learned : [wgsl.position.none]),
      isRagged ? wgsl.tokenId.newest : wgsl.tokenId.given,
      wgsl.embed,
    ],
  });
}

/** Embeddings of tokens and, where they are learned, of positions. */
export class Embedding {
  readonly #gpu: Gpu;
  readonly #shape: EmbedShape;
  readonly #kernel: Kernel;
  readonly #weights: { w: WeightMatrix; positions?: Tensor };
  readonly #scale: number;
  readonly #params = new KeptBuffers();

  private constructor(
    gpu: Gpu,
    shape: EmbedShape,
    kernel: Kernel,
    weights: { w: WeightMatrix; positions?: Tensor },
    scale: number,
  ) {
    this.#gpu = gpu;
    this.#shape = shape;
    this.#kernel = kernel;
    this.#weights = weights;
    this.#scale = scale;
  }

  /** Of weights [vocabSize, dim] and f32 [contextLen, dim], which stay the caller's. */
  static async create(
    gpu: Gpu,
    weights: { w: WeightMatrix; positions?: Tensor },
    scale: number,
  ): Promise<Embedding> {
    const { w, positions } = weights;
    const shape = { dim: w.shape[1], dtype: w.dtype, hasPositions: positions !== undefined };
    const kernel = await Kernel.compile(gpu, embedModule(shape));
    return new Embedding(gpu, shape, kernel, weights, scale);
  }

  /**
   * Binds `tokens` u32 [S or more], `y` f32 [1, S, dim] and, for positions that are learned, the lengths of a cache that has the
   * tokens before them.
   */
  bind(tokens: Tensor, y: Tensor, lengths?: GPUBuffer): BoundWork {
    return this.#bind(this.#kernel, { tokens: tokens.buffer, ...(lengths && { lengths }) }, y);
  }

  /**
   * Binds tokens of many sequences end to end.
   *
   * @param buffers `tokens` u32 [S], those from 2^31 on being the `newest` u32 [sequences] of the sequence that follows, and
   * the `newTokens` of a paged cache.
   * @param y f32 [1, S, dim]
   */
  async bindRagged(
    buffers: Record<"tokens" | "newest" | "newTokens", GPUBuffer>,
    y: Tensor,
  ): Promise<BoundWork> {
    const kernel = await Kernel.compile(this.#gpu, embedModule(this.#shape, "ragged"));
    return this.#bind(kernel, buffers, y);
  }

  destroy(): void {
    this.#params.destroy();
  }

  #bind(kernel: Kernel, tokens: Buffers, y: Tensor): BoundWork {
    const { w, positions } = this.#weights;
    const [, numTokens, dim] = y.shape;
    const grid = [Math.ceil(numTokens * dim / packSize(dim) / WORKGROUP), 1] as const;
    const buffers = { ...tokens, y: y.buffer, ...(positions && { positions: positions.buffer }) };
    return boundWork(w.bands.map(({ w, firstRow }) => {
      const rows = { firstRow, numRows: w.shape[0] };
      const params = this.#params.get(
        `${numTokens} tokens from row ${firstRow}`,
        () => kernel.uniform({ numTokens, scale: this.#scale, ...rows }),
      );
      return kernel.bind({ ...buffers, params, w: w.buffer }, grid);
    }));
  }
}
