/** The gradients of a projection `y = x w^T + b`, beside {@linkcode Linear}. */
import * as wgsl from "../../kernels/mod.ts";
import { type BoundWork, boundWork, gridOfRows, inSequence } from "../gpu/bound_work.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { type BufferRange, Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { type RowRange, rowRanges } from "../gpu/row_ranges.ts";
import { canBeUniform } from "../gpu/usage.ts";
import { Owned } from "../gpu/owned.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { packSize } from "../tensor/loads.ts";
import { storedPackPiece } from "../tensor/pieces.ts";
import { Tensor } from "../tensor/tensor.ts";
import { chunksOf } from "./chunks.ts";
import { ColumnSums } from "./column_sums.ts";

/** The tile of a product that an invocation owns, and the invocations of a workgroup. */
interface ProductTile {
  rows: number;
  packs: number;
  workgroup: number;
  /** Whether the invocations of a workgroup have the same rows, and broadcast the factors of these. */
  broadcasts?: boolean;
}

/**
 * Tiles of a product by class of device: in software a load is dear, unless neighbours share it, and on GPUs the sums of a tile
 * stay in registers.
 */
const TILES = {
  software: { rows: 8, packs: 8, workgroup: 8 },
  sharing: { rows: 16, packs: 2, workgroup: 8, broadcasts: true },
  gpu: { rows: 4, packs: 2, workgroup: 64 },
};
/** Invocations that keep a software driver's threads and their lanes busy. */
const FILLING = 16;

/** The tile of a product of `rows` rows and `packs` packs: as large as a device likes it, unless too few would be at work. */
export function productTile(
  { isSoftware, subgroupSize }: DeviceProfile,
  { rows, packs }: { rows: number; packs: number },
): ProductTile {
  if (!isSoftware) return TILES.gpu;
  const isWide = packs >= TILES.sharing.workgroup;
  const isShared = subgroupSize >= TILES.sharing.workgroup && isWide;
  const tile = { ...(isShared ? TILES.sharing : TILES.software) };
  const count = () => Math.ceil(rows / tile.rows) * tilesOf(tile, packs);
  // A loaded pack is cheaper than a loaded factor.
  while (tile.rows > 1 && count() < FILLING) tile.rows /= 2;
  while (tile.packs > 1 && count() < FILLING) tile.packs /= 2;
  return tile;
}

/** Tiles of the same rows: with some that have no pack, where a workgroup has one row of tiles alone. */
function tilesOf({ packs: own, workgroup, broadcasts }: ProductTile, packs: number): number {
  const tiles = Math.ceil(packs / own);
  return broadcasts ? Math.ceil(tiles / workgroup) * workgroup : tiles;
}

/** Workgroups that own the tiles of a product. */
function blocksOf(
  tile: ProductTile,
  { rows, packs }: { rows: number; packs: number },
): number {
  return Math.ceil(Math.ceil(rows / tile.rows) * tilesOf(tile, packs) / tile.workgroup);
}

/**
 * The module of a product [rows, inner] x [inner, width], the first matrix stored by its rows or by its columns. The second one
 * is bound whole, or `boundRows` rows of it as a uniform.
 */
export function productModule(
  { width, factor, to, boundRows, steps }: {
    width: number;
    factor: "row" | "column";
    to: "y" | "sum";
    boundRows?: number;
    steps: number;
  },
  tile: ProductTile,
  { longLoads }: Pick<DeviceProfile, "longLoads">,
): WgslModule {
  const { rows: ROWS, packs: OWN_PACKS, workgroup: WORKGROUP } = tile;
  const pack = packSize(width);
  const { uniform, storage } = wgsl.innerRow;
  const bound: WgslPiece = boundRows === undefined
    ? { fragments: [storage] }
    : { constants: { BOUND_ROWS: boundRows }, fragments: [uniform] };
  return join(
    "product",
    storedPackPiece(pack, { longLoads }),
    bound,
    factorsPiece(factor, tile, { steps }),
    {
      constants: { WIDTH: width, ROWS, OWN_PACKS, TILES: tilesOf(tile, width / pack), WORKGROUP },
      fragments: [wgsl.putPack[to], wgsl.product],
    },
  );
}

/**
 * Rows of the second matrix that a product multiplies at once: as many as a load of factors serves, where packs of these can be
 * loaded as a whole, or one. They divide `divisors`, and packs of columns the rows of the product.
 */
export function stepsOf(
  { rows: tileRows, workgroup, broadcasts = false }: ProductTile,
  { factor, width, rows, divisors, longLoads }: {
    factor: "row" | "column";
    width: number;
    rows: number;
    divisors: readonly number[];
    longLoads: boolean;
  },
): number {
  if (!longLoads || !broadcasts || packSize(width) === 1) return 1;
  if (factor === "column" && (tileRows < 4 || rows % 4 !== 0)) return 1;
  const steps = factor === "row" ? 4 : 4 * workgroup / tileRows;
  return divisors.every((number) => number % steps === 0) ? steps : 1;
}

/** Declares `firstRowOf` and `factorsAt`. */
function factorsPiece(
  factor: "row" | "column",
  { rows, workgroup, broadcasts }: ProductTile,
  { steps }: { steps: number },
): WgslPiece {
  const { own, broadcast, broadcastPacks, broadcastColumnPacks } = wgsl.factors;
  const { own: ownRows, shared } = wgsl.tileRows;
  const constants = { STEPS: steps };
  if (!broadcasts) return { constants, fragments: [ownRows, own, wgsl.factor[factor]] };
  const loads = { ...constants, FACTOR_LOADS: Math.ceil(rows / workgroup) };
  if (steps === 1) {
    return { constants: loads, fragments: [shared, broadcast, wgsl.factor[factor]] };
  }
  if (factor === "row") return { constants: loads, fragments: [shared, broadcastPacks] };
  const columns = { ...constants, PACK_ROWS: rows / 4 };
  return { constants: columns, fragments: [shared, broadcastColumnPacks] };
}

/** The matrices of a product, and where it goes. */
interface ProductBuffers {
  a: GPUBuffer;
  b: GPUBuffer;
  y: GPUBuffer;
  /** How the first matrix is stored. */
  factor: "row" | "column";
  to: "y" | "sum";
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
    const inner = this.#outputs;
    checkRounds(this.#profile, this.#action, inner, { outputs: inner });
    const product = { a: dy, b: w, y: dx, factor: "row", to } as const;
    return await this.#product(product, { rows: numTokens, inner });
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
    const rows = this.#outputs;
    const bias = db ? [await this.#biasSums.bind({ x: dy, y: db }, numTokens)] : [];
    const product = { a: dy, b: x, y: dw, factor: "column", to: "sum" } as const;
    return inSequence([await this.#product(product, { rows, inner: numTokens }), ...bias]);
  }

  destroy(): void {
    this.#owned.destroy();
  }

  get #action(): string {
    return `compute the gradient of ${this.#label}`;
  }

  /** Binds a product, in ranges of a uniform or in chunks of the sum. */
  async #product(
    product: ProductBuffers,
    { rows, inner }: { rows: number; inner: number },
  ): Promise<BoundWork> {
    const ranges = this.#uniformRanges(product.b, inner);
    if (ranges.length === 0) return await this.#chunkedProduct(product, { rows, inner });
    return inSequence(
      await Promise.all(ranges.map(({ rows: boundRows, firstRow: first, ...bytes }, i) => {
        const part = { ...product, to: i === 0 ? product.to : "sum" } as const;
        return this.#dispatch(
          { ...part, b: { buffer: product.b, ...bytes } },
          { rows, inner, first, chunk: boundRows },
          { boundRows },
        );
      })),
    );
  }

  /** Rows of the second matrix that uniform bindings hold; none where loads from storage are as cheap. */
  #uniformRanges(matrix: GPUBuffer, inner: number): RowRange[] {
    const { isSoftware } = this.#profile;
    if (!isSoftware || packSize(this.#inputs) === 1 || !canBeUniform(matrix)) return [];
    return rowRanges(this.#gpu.device.limits, inner, 4 * this.#inputs);
  }

  async #chunkedProduct(
    product: ProductBuffers,
    { rows, inner }: { rows: number; inner: number },
  ): Promise<BoundWork> {
    const blocks = blocksOf(...this.#tiling(rows));
    const { count, size: chunk } = chunksOf(this.#profile, inner, blocks);
    const params = { rows, inner, first: 0, chunk };
    if (count === 1 || product.factor === "row") {
      return await this.#dispatch(product, { ...params, chunk: inner });
    }
    const parts = this.#owned.keep(
      await Tensor.empty(this.#gpu, [count, rows, this.#inputs], { label: "parts of a product" }),
    );
    return inSequence([
      await this.#dispatch({ ...product, y: parts.buffer, to: "y" }, params, { chunks: count }),
      await this.#matrixSums.bind({ x: parts.buffer, y: product.y }, count),
    ]);
  }

  async #dispatch(
    { factor, to, ...buffers }: Omit<ProductBuffers, "b"> & { b: GPUBuffer | BufferRange },
    values: { rows: number; inner: number; first: number; chunk: number },
    { boundRows, chunks = 1 }: { boundRows?: number; chunks?: number } = {},
  ): Promise<BoundWork> {
    const [tile, shape] = this.#tiling(values.rows);
    const { longLoads } = this.#profile;
    const width = this.#inputs;
    const { rows, inner, first, chunk } = values;
    const divisors = [inner, first, chunk];
    const steps = stepsOf(tile, { factor, width, rows, divisors, longLoads });
    const of = { width, factor, to, boundRows, steps };
    const module = productModule(of, tile, { longLoads });
    const kernel = await Kernel.compile(this.#gpu, module);
    const params = this.#params.get(JSON.stringify(values), () => kernel.uniform(values));
    const most = this.#gpu.device.limits.maxComputeWorkgroupsPerDimension;
    const [blocks, lines] = gridOfRows(blocksOf(tile, shape), most);
    return boundWork([kernel.bind({ ...buffers, params }, [blocks, lines, chunks])]);
  }

  /** The tile of a product of `rows` rows, and what is cut into tiles. */
  #tiling(rows: number) {
    const shape = { rows, packs: this.#inputs / packSize(this.#inputs) };
    return [productTile(this.#profile, shape), shape] as const;
  }
}
