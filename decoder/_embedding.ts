/** From tokens to the residual stream. */
import type { Gpu, KvDtype, Tensor } from "../mod.ts";
import { type BoundWork, boundWork } from "../src/bound.ts";
import { Kernel } from "../src/_kernel.ts";
import { packSize } from "../src/_plan.ts";
import { weightReads } from "../src/_storage.ts";
import { fragments as shared } from "../kernels/mod.ts";
import { fragments, kernels } from "./kernels/mod.ts";

const WORKGROUP = 64;

/** Embeddings of tokens and, where they are learned, of positions. */
export class Embedding {
  readonly #kernel: Kernel;
  readonly #weights: { w: Tensor; positions?: Tensor };
  readonly #scale: number;
  readonly #params: GPUBuffer[] = [];

  private constructor(kernel: Kernel, weights: { w: Tensor; positions?: Tensor }, scale: number) {
    this.#kernel = kernel;
    this.#weights = weights;
    this.#scale = scale;
  }

  /** Of weights [vocabSize, dim] and f32 [contextLen, dim], which stay the caller's. */
  static async create(
    gpu: Gpu,
    weights: { w: Tensor; positions?: Tensor },
    scale: number,
  ): Promise<Embedding> {
    const { w, positions } = weights;
    const IN = w.shape[1];
    const pack = packSize(IN);
    const reads = weightReads(w.dtype as KvDtype, pack);
    const kernel = await Kernel.compile(gpu, "embed", {
      types: { T: "f32", ...reads.types },
      constants: { IN, WORKGROUP, ...reads.constants },
      fragments: [
        pack === 4 ? shared.packVec4 : shared.packScalar,
        ...reads.fragments,
        positions ? fragments.positionLearned : fragments.positionNone,
        kernels.embed,
      ],
    });
    return new Embedding(kernel, weights, scale);
  }

  /** Binds `tokens` u32 [S or more], `y` f32 [1, S, dim] and the lengths of a cache that has the tokens before them. */
  bind(tokens: Tensor, y: Tensor, lengths: GPUBuffer): BoundWork {
    const { w, positions } = this.#weights;
    const [, numTokens, dim] = y.shape;
    const params = this.#kernel.uniform({ numTokens, scale: this.#scale });
    this.#params.push(params);
    const grid = [Math.ceil(numTokens * dim / packSize(dim) / WORKGROUP), 1] as const;
    const buffers = { params, tokens: tokens.buffer, w: w.buffer, y: y.buffer };
    const learned = positions && { positions: positions.buffer, lengths };
    return boundWork([this.#kernel.bind({ ...buffers, ...learned }, grid)]);
  }

  destroy(): void {
    for (const params of this.#params) params.destroy();
  }
}
