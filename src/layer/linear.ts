/** Projections on the device: matrix times vector for one token, matrix times matrix for several. */
import * as wgsl from "../../kernels/mod.ts";
import { type BufferRange, type Buffers, Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { rowRanges } from "../gpu/row_ranges.ts";
import { lanesPiece } from "../attend/pieces.ts";
import type { Norm } from "./norm.ts";
import { bindsGainAsUniform, type InputNorm, inputNormPiece, normVectors } from "./norm_pieces.ts";
import { type LinearTarget, putPiece } from "./put.ts";
import type { WeightMatrix } from "./weight_matrix.ts";
import { loadPacks, type Loads, loadsOf, packSize } from "../tensor/loads.ts";
import { storedPackPiece, weightPieces } from "../tensor/pieces.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { canBeUniform } from "../gpu/usage.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The activation of a feed-forward layer. */
export type Activation = "silu" | "gelu" | "geluTanh";

/** Every activation. */
export const ACTIVATIONS: readonly Activation[] = ["silu", "gelu", "geluTanh"];

/** An activation of each output; where it is gated, of each even row, which the next one is multiplied with. */
export interface LinearActivation {
  kind: Activation;
  isGated: boolean;
}

/** Options of a projection. */
export interface LinearOptions {
  /**
   * Heads of x [tokens, heads, in], each of which as many rows of the matrix [heads x out, in] multiply. The default is
   * none: every row multiplies the whole of x [tokens, in].
   */
  heads?: number;
  activation?: LinearActivation;
  profile?: DeviceProfile;
}

/** A matrix [out, in] and what is added to its outputs. */
export interface LinearWeights {
  w: WeightMatrix;
  /** f32 [out] */
  bias?: Tensor;
}

/** The tiles of a projection. */
interface Tile {
  rows: number;
  tokens: number;
  /** Invocations that share the sums of a tile. */
  lanes: number;
  workgroup: number;
  /** Tiles of a workgroup that have the same rows and other tokens. The default is 1. */
  tokenGroups?: number;
}

/** Workgroups that keep a software driver's threads busy. */
const FILLING = 4;

/**
 * A tile of sums for several tokens, and for one token as many rows as hide the load of x. On GPUs lanes share a row, so that
 * neighbours load neighbouring weights: 8 loads for 16 products. In software a lane has its rows alone, and a load costs as
 * much as 70 products: 16 loads for 64, and where neighbours broadcast their inputs 12 for 256, unless too few would be at work.
 */
export function tileOf(
  { isSoftware, subgroupSize }: DeviceProfile,
  { numTokens, numRows, heads }: { numTokens: number; numRows: number; heads?: number },
): Tile {
  const isOne = numTokens === 1;
  if (isSoftware) {
    const tile = { rows: 8, tokens: isOne ? 1 : numTokens <= 4 ? 4 : 8, lanes: 1, workgroup: 8 };
    // Lanes without rows would wait for the others. A gated output is made of two rows.
    while (!isOne && tile.rows > 2 && numRows <= tile.rows / 2 * tile.workgroup) tile.rows /= 2;
    if (!broadcastsInputs(tile, { heads, subgroupSize })) return tile;
    const blocks = Math.ceil(numRows / tile.rows / tile.workgroup);
    const fills = (tokens: number) => blocks * Math.ceil(numTokens / tokens) >= FILLING;
    while (tile.tokens < Math.min(numTokens, 32) && fills(2 * tile.tokens)) tile.tokens *= 2;
    return tile;
  }
  if (!isOne) return { rows: 4, tokens: 4, lanes: 8, workgroup: 64 };
  return { rows: 4, tokens: 1, lanes: subgroupSize >= 32 ? 32 : 16, workgroup: 128 };
}

/** Rows of the matrix that a workgroup multiplies. */
function rowsOfWorkgroup({ rows, lanes, workgroup, tokenGroups = 1 }: Tile): number {
  return workgroup / lanes / tokenGroups * rows;
}

/** Whether the invocations of a workgroup are neighbours in a subgroup that multiply the same inputs, and broadcast them. */
function broadcastsInputs(
  { tokens, lanes, workgroup, tokenGroups = 1 }: Tile,
  { heads, subgroupSize }: { heads?: number; subgroupSize: number },
): boolean {
  const isEach = lanes === 1 && tokenGroups === 1 && heads === undefined;
  return isEach && tokens > 1 && workgroup <= subgroupSize;
}

/**
 * A tile of a software driver without subgroups whose weights are bound as uniforms, where loads cost next to nothing: many
 * rows share a loaded x, and invocations have tokens of their own.
 */
export const UNIFORM_TILE = { rows: 32, tokens: 4, lanes: 1, workgroup: 8, tokenGroups: 8 };

/**
 * Most tokens that a projection normalises itself, which saves a dispatch. In software the sums of a row are taken from packs that
 * are loaded anyway. A root mean square and its gains cost a thirtieth of the products of 8 rows where invocations broadcast their
 * inputs, a quarter where each loads its own, and a sixteenth on the tile of uniforms; of fewer rows they cost more. On GPUs each
 * of the groups that share tokens takes them anew, half as many operations as products: idle ones in a step of a batch, which waits
 * for weights, but not in a long prompt.
 */
const MOST_NORMALISED = { software: Infinity, gpu: 64 };

/** Whether a projection of so many tokens normalises them itself. */
export function normalisesInput({ isSoftware }: DeviceProfile, numTokens: number): boolean {
  return numTokens <= (isSoftware ? MOST_NORMALISED.software : MOST_NORMALISED.gpu);
}

/** Whether so many tokens leave less than half of the tile empty. */
function fillsUniformTile(numTokens: number): boolean {
  return numTokens >= UNIFORM_TILE.tokens * UNIFORM_TILE.tokenGroups / 2;
}

/** A projection whose weights are on the device, and stay the caller's. */
export class Linear {
  readonly #gpu: Gpu;
  readonly #label: string;
  readonly #weights: LinearWeights;
  readonly #activation: LinearActivation | undefined;
  readonly #profile: DeviceProfile;
  readonly #heads: number | undefined;
  readonly #params = new KeptBuffers();

  /** `profile` is what kind of device tiles are cut for, by default the present one. */
  constructor(
    gpu: Gpu,
    label: string,
    weights: LinearWeights,
    { activation, heads, profile = gpu.profile }: LinearOptions = {},
  ) {
    this.#gpu = gpu;
    this.#label = label;
    this.#weights = weights;
    this.#activation = activation;
    this.#profile = profile;
    this.#heads = heads;
  }

  /** Bytes of the weights. */
  get bytes(): number {
    const { w, bias } = this.#weights;
    return w.bytes + (bias?.bytes ?? 0);
  }

  /**
   * Compiles the kernels for a number of tokens, and binds `x` and the tensors that are written.
   *
   * @param norm The norm of `x`, where the projection is to normalise it: see {@linkcode normalisesInput}.
   */
  async bind(
    buffers: Buffers,
    numTokens: number,
    target: LinearTarget = "y",
    norm?: Norm,
  ): Promise<BoundWork> {
    const { bias } = this.#weights;
    const uniform = this.#uniformParts(numTokens);
    const isUniform = uniform.length > 0;
    const parts = isUniform ? uniform : this.#storageParts();
    const tile = isUniform ? this.#uniformTile(numTokens) : this.#tile(numTokens);
    const kernels = await Promise.all(
      parts.map(({ rows }) => this.#compile(tile, target, { rows, isUniform, norm })),
    );
    const { tokenGroups = 1 } = tile;
    return boundWork(parts.map(({ w, rows, firstRow }, i) => {
      const weights = { w, ...(bias && { bias: bias.buffer }), ...norm?.buffers };
      const eps = norm?.eps ?? 0;
      const params = this.#params.get(
        `${numTokens} tokens from row ${firstRow}, eps ${eps}`,
        () => kernels[i].uniform({ numTokens, firstRow, eps }),
      );
      return kernels[i].bind({ ...buffers, ...weights, params }, [
        Math.ceil(rows / rowsOfWorkgroup(tile)),
        Math.ceil(numTokens / (tile.tokens * tokenGroups)),
      ]);
    }));
  }

  destroy(): void {
    this.#params.destroy();
  }

  /** The bands of the matrix. */
  #storageParts(): WeightPart[] {
    return this.#weights.w.bands.map(({ w, firstRow }) => ({
      ...{ w: w.buffer, rows: w.shape[0], firstRow },
    }));
  }

  /**
   * Parts of the bands that uniform bindings hold; none where loads from storage are as cheap. There are several for many tokens
   * alone, and where they fill workgroups: another dispatch, or lanes without rows, would cost more than cheap loads save.
   */
  #uniformParts(numTokens: number): WeightPart[] {
    const { w: { shape: [, inputs], dtype, bands } } = this.#weights;
    const { isSoftware } = this.#profile;
    if (!isSoftware || dtype !== "f32" || packSize(inputs) === 1 || this.#heads) return [];
    if (!bands.every(({ w }) => canBeUniform(w.buffer))) return [];
    const parts = bands.flatMap(({ w: { buffer, shape: [rows] }, firstRow: first }) =>
      rowRanges(this.#gpu.device.limits, rows, 4 * inputs).map(({ rows, firstRow, ...bytes }) => ({
        ...{ w: { buffer, ...bytes }, rows, firstRow: first + firstRow },
      }))
    );
    if (parts.length <= 1) return parts;
    const fills = parts[0].rows >= rowsOfWorkgroup(this.#uniformTile(numTokens));
    return fills && fillsUniformTile(numTokens) ? parts : [];
  }

  #uniformTile(numTokens: number): Tile {
    const tile = this.#tile(numTokens);
    const broadcasts = broadcastsInputs(tile, this.#profile);
    return fillsUniformTile(numTokens) && !broadcasts ? UNIFORM_TILE : tile;
  }

  /** The rows of a tile multiply one input: a tile has rows of one head alone. */
  #tile(numTokens: number): Tile {
    const { shape: [outputs], bands } = this.#weights.w;
    const heads = this.#heads;
    const tile = tileOf(this.#profile, { numTokens, numRows: outputs, heads });
    if (heads === undefined) return tile;
    const starts = [outputs / heads, ...bands.map(({ firstRow }) => firstRow)];
    let { rows } = tile;
    while (starts.some((start) => start % rows !== 0)) rows /= 2;
    return { ...tile, rows };
  }

  #compile(
    tile: Tile,
    target: LinearTarget,
    { rows, isUniform, norm }: { rows: number; isUniform: boolean; norm: Norm | undefined },
  ): Promise<Kernel> {
    const { w: { shape: [outputs, inputs], dtype }, bias } = this.#weights;
    const loads = isUniform ? "packs" : loadsOf(this.#profile, dtype, inputs);
    const packs = inputs / packSize(inputs);
    const rounds = Math.ceil(packs / (loadPacks(loads) * tile.lanes));
    checkRounds(this.#profile, `project by ${this.#label}`, rounds, { inputs });
    const { subgroupSize, longLoads } = this.#profile;
    const has = { hasBias: bias !== undefined, norm: norm && this.#normOf(norm, inputs) };
    const shape = { inputs, outputs, rows, dtype, loads, isUniform, ...has };
    const [activation, heads] = [this.#activation, this.#heads];
    const options = { activation, heads, target, subgroupSize, longLoads };
    return Kernel.compile(this.#gpu, linearModule(this.#label, shape, tile, options));
  }

  /** The norm of the input, whose gain is a uniform where loads from storage are dear and one binding holds them. */
  #normOf({ shape, buffers: { gain } }: Norm, inputs: number): InputNorm {
    const { maxUniformBufferBindingSize: maxBytes } = this.#gpu.device.limits;
    const of = { pack: packSize(inputs), maxBytes };
    return { ...shape, isUniform: bindsGainAsUniform(this.#profile, gain, of) };
  }
}

/** The matrix of a projection. */
interface LinearShape {
  inputs: number;
  outputs: number;
  /** Outputs of the band of the matrix. */
  rows: number;
  dtype: KvDtype;
  loads: Loads;
  /** Whether the band is bound as a uniform. The default is as storage. */
  isUniform?: boolean;
  hasBias: boolean;
  /** The norm of the input. The default is none. */
  norm?: InputNorm;
}

/** Rows of the matrix that one dispatch multiplies. */
interface WeightPart {
  w: GPUBuffer | BufferRange;
  rows: number;
  firstRow: number;
}

/** The module of a projection by a band of a matrix. */
export function linearModule(
  label: string,
  { inputs, outputs, rows, dtype, loads, isUniform, hasBias, norm }: LinearShape,
  tile: Tile,
  { activation, heads, target, subgroupSize, longLoads }: {
    activation?: LinearActivation;
    heads?: number;
    target: LinearTarget;
    subgroupSize: number;
    longLoads: boolean;
  },
): WgslModule {
  const { rows: ROWS, tokens: TOKENS, lanes: LANES, workgroup: WORKGROUP, tokenGroups = 1 } = tile;
  const pack = packSize(inputs);
  const broadcasts = broadcastsInputs(tile, { heads, subgroupSize });
  const ROWS_PER_OUTPUT = activation?.isGated ? 2 : 1;
  return join(
    label,
    storedPackPiece(pack, { longLoads }),
    ...weightPieces(dtype, inputs, pack, loads, { isUniform }),
    lanesPiece(LANES, { shuffles: LANES <= subgroupSize }),
    inputPiece(outputs, heads),
    inputNormPiece(norm),
    outputPiece(activation),
    putPiece(target, outputs / ROWS_PER_OUTPUT),
    {
      constants: {
        ...{ PART_ROWS: rows, ROWS, TOKENS, LANES, WORKGROUP },
        ...{ ROW_GROUPS: WORKGROUP / LANES / tokenGroups, TOKEN_GROUPS: tokenGroups },
        ...{ INPUTS: TOKENS + (norm ? normVectors(norm) : 0) },
        ...{ TOKEN_LOADS: broadcasts ? Math.ceil(TOKENS / WORKGROUP) : TOKENS },
        ...{ ROWS_PER_OUTPUT, OUTPUTS: ROWS / ROWS_PER_OUTPUT },
      },
      fragments: [
        broadcasts ? wgsl.heldInputs.broadcast : wgsl.heldInputs.own,
        hasBias ? wgsl.rowBias.added : wgsl.rowBias.none,
        wgsl.linear,
      ],
    },
  );
}

/** Declares `startOfInput`: whether rows multiply tokens or heads. */
function inputPiece(outputs: number, heads: number | undefined): WgslPiece {
  if (heads === undefined) return { fragments: [wgsl.input.token] };
  const constants = { HEADS: heads, HEAD_ROWS: outputs / heads };
  return { constants, fragments: [wgsl.input.head] };
}

/** Declares `outputOf`: what becomes of a row, or of two. */
function outputPiece(activation: LinearActivation | undefined): WgslPiece {
  if (!activation) return { fragments: [wgsl.output.linear] };
  const { kind, isGated } = activation;
  return {
    types: { Activated: "f32" },
    fragments: [wgsl.activation[kind], isGated ? wgsl.output.gated : wgsl.output.activated],
  };
}
