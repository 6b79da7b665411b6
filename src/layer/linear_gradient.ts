/** The gradients of a projection `y = x w^T + b`, beside {@linkcode Linear}. */
import * as wgsl from "../../kernels/mod.ts";
import { type BoundWork, boundWork, inSequence } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { type Buffers, Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { Owned } from "../gpu/owned.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { packSize } from "../tensor/loads.ts";
import { packPiece } from "../tensor/pieces.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type Chunks, chunksOf } from "./chunks.ts";
import { ColumnSums } from "./column_sums.ts";

/** The tile of a product that an invocation owns, and the invocations of a workgroup. */
interface ProductTile {
  rows: number;
  packs: number;
  workgroup: number;
}

/** In software a load is dear, so that a tile has as many sums as hide it; on GPUs a tile's sums stay in registers. */
export function productTile({ isSoftware }: DeviceProfile): ProductTile {
  return isSoftware ? { rows: 8, packs: 4, workgroup: 8 } : { rows: 4, packs: 2, workgroup: 64 };
}

/** The module of a product [rows, inner] x [inner, width], the first matrix stored by its rows or by its columns. */
export function productModule(
  { width, factor, to }: { width: number; factor: "row" | "column"; to: "y" | "sum" },
  { rows: ROWS, packs: OWN_PACKS, workgroup: WORKGROUP }: ProductTile,
): WgslModule {
  return join("product", packPiece(packSize(width)), {
    constants: { WIDTH: width, ROWS, OWN_PACKS, WORKGROUP },
    fragments: [wgsl.factor[factor], wgsl.putPack[to], wgsl.product],
  });
}

/** The gradients of a projection by a matrix [outputs, inputs]. */
export class LinearGradient {
  readonly #gpu: Gpu;
  readonly #label: string;
  readonly #outputs: number;
  readonly #inputs: number;
  readonly #profile: DeviceProfile;
  readonly #owned = new Owned();
  readonly #params = this.#owned.keep(new KeptBuffers());
  readonly #matrixSums: ColumnSums;
  readonly #biasSums: ColumnSums;

  /** `profile` is what kind of device tiles are cut for, by default the present one. */
  constructor(
    gpu: Gpu,
    label: string,
    [outputs, inputs]: readonly [number, number],
    { profile = gpu.profile }: { profile?: DeviceProfile } = {},
  ) {
    this.#gpu = gpu;
    this.#label = label;
    this.#outputs = outputs;
    this.#inputs = inputs;
    this.#profile = profile;
    this.#matrixSums = this.#owned.keep(new ColumnSums(gpu, outputs * inputs, { profile }));
    this.#biasSums = this.#owned.keep(new ColumnSums(gpu, outputs, { profile }));
  }

  /**
   * Binds `dx = dy w` of `numTokens` tokens, or its sum with what is in `dx` before.
   *
   * @param buffers `dy` f32 [tokens, outputs], `w` f32 [outputs, inputs], `dx` f32 [tokens, inputs].
   */
  async bindInput(
    { dy, w, dx }: Record<"dy" | "w" | "dx", GPUBuffer>,
    numTokens: number,
    to: "y" | "sum" = "y",
  ): Promise<BoundWork> {
    const size = this.#outputs;
    checkRounds(this.#profile, this.#action, size, { outputs: size });
    return await this.#product(
      { buffers: { a: dy, b: w, y: dx }, factor: "row", to },
      { rows: numTokens, inner: size, chunks: { count: 1, size } },
    );
  }

  /**
   * Binds what `numTokens` tokens add to the gradients of the weights: `dw += dy^T x` and, where the projection has a bias,
   * `db += sum_t dy[t]`.
   *
   * @param buffers `x` f32 [tokens, inputs], `dy` f32 [tokens, outputs], `dw` f32 [outputs, inputs], `db` f32 [outputs].
   */
  async bindWeights(
    { x, dy, dw, db }: Record<"x" | "dy" | "dw", GPUBuffer> & { db?: GPUBuffer },
    numTokens: number,
  ): Promise<BoundWork> {
    const [rows, inner] = [this.#outputs, numTokens];
    const chunks = chunksOf(this.#profile, inner, this.#blocks(rows));
    const bias = db ? [await this.#biasSums.bind({ x: dy, y: db }, numTokens)] : [];
    const read = { a: dy, b: x };
    if (chunks.count === 1) {
      const product = { buffers: { ...read, y: dw }, factor: "column", to: "sum" } as const;
      return inSequence([await this.#product(product, { rows, inner, chunks }), ...bias]);
    }
    const parts = this.#owned.keep(
      await Tensor.empty(this.#gpu, [chunks.count, rows, this.#inputs], { label: "parts of dw" }),
    );
    const product = { buffers: { ...read, y: parts.buffer }, factor: "column", to: "y" } as const;
    return inSequence([
      await this.#product(product, { rows, inner, chunks }),
      await this.#matrixSums.bind({ x: parts.buffer, y: dw }, chunks.count),
      ...bias,
    ]);
  }

  destroy(): void {
    this.#owned.destroy();
  }

  get #action(): string {
    return `compute the gradient of ${this.#label}`;
  }

  async #product(
    { buffers, factor, to }: { buffers: Buffers; factor: "row" | "column"; to: "y" | "sum" },
    { rows, inner, chunks }: { rows: number; inner: number; chunks: Chunks },
  ): Promise<BoundWork> {
    const tile = productTile(this.#profile);
    const kernel = await Kernel.compile(
      this.#gpu,
      productModule({ width: this.#inputs, factor, to }, tile),
    );
    const params = this.#params.get(
      `${rows} rows of ${inner} by ${chunks.size}`,
      () => kernel.uniform({ rows, inner, chunk: chunks.size }),
    );
    return boundWork([kernel.bind({ ...buffers, params }, [this.#blocks(rows), chunks.count])]);
  }

  /** Workgroups that own the tiles of `rows` rows of a product. */
  #blocks(rows: number): number {
    const tile = productTile(this.#profile);
    const packs = this.#inputs / packSize(this.#inputs);
    return Math.ceil(Math.ceil(rows / tile.rows) * Math.ceil(packs / tile.packs) / tile.workgroup);
  }
}
