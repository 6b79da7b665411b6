/** From tokens to the residual stream. */
import type { Gpu } from "../gpu/device.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Kernel } from "../gpu/kernel.ts";
import type { WeightMatrix } from "../layer/weight_matrix.ts";
import { packSize } from "../tensor/loads.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import { packPiece, weightPieces } from "../tensor/pieces.ts";
import * as wgsl from "../../kernels/mod.ts";

const WORKGROUP = 64;

/** The module that looks embeddings up. */
export function embedModule(
  { dim, dtype, hasPositions }: { dim: number; dtype: KvDtype; hasPositions: boolean },
): WgslModule {
  const pack = packSize(dim);
  return join("embed", packPiece(pack), ...weightPieces(dtype, dim, pack, "packs"), {
    constants: { WORKGROUP },
    fragments: [hasPositions ? wgsl.position.learned : wgsl.position.none, wgsl.embed],
  });
}

/** Embeddings of tokens and, where they are learned, of positions. */
export class Embedding {
  readonly #kernel: Kernel;
  readonly #weights: { w: WeightMatrix; positions?: Tensor };
  readonly #scale: number;
  readonly #params = new KeptBuffers();

  private constructor(
    kernel: Kernel,
    weights: { w: WeightMatrix; positions?: Tensor },
    scale: number,
  ) {
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
    return new Embedding(kernel, weights, scale);
  }

  /**
   * Binds `tokens` u32 [S or more], `y` f32 [1, S, dim] and, for positions that are learned, the lengths of a cache that has the
   * tokens before them.
   */
  bind(tokens: Tensor, y: Tensor, lengths?: GPUBuffer): BoundWork {
    const { w, positions } = this.#weights;
    const [, numTokens, dim] = y.shape;
    const grid = [Math.ceil(numTokens * dim / packSize(dim) / WORKGROUP), 1] as const;
    const buffers = { tokens: tokens.buffer, y: y.buffer };
    const learned = positions && lengths && { positions: positions.buffer, lengths };
    return boundWork(w.bands.map(({ w, firstRow }) => {
      const rows = { firstRow, numRows: w.shape[0] };
      const params = this.#params.get(
        `${numTokens} tokens from row ${firstRow}`,
        () => this.#kernel.uniform({ numTokens, scale: this.#scale, ...rows }),
      );
      return this.#kernel.bind({ ...buffers, params, w: w.buffer, ...learned }, grid);
    }));
  }

  destroy(): void {
    this.#params.destroy();
  }
}
