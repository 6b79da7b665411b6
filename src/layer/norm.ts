/** Normalisation of rows on the device. */
import * as wgsl from "../../kernels/mod.ts";
import { type Buffers, Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { packSize } from "../tensor/loads.ts";
import { storedPackPiece } from "../tensor/pieces.ts";
import {
  bindsGainAsUniform,
  type InputNorm,
  MOMENT_LOOPS,
  momentsPiece,
  normalisedPiece,
  type NormShape,
  type RowPacks,
} from "./norm_pieces.ts";
import { type NormTarget, putPackPiece } from "./put.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import { type BoundWork, boundWork, gridOfRows } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The options of a norm. */
export interface NormOptions {
  /** By their root mean square, or by mean and deviation. */
  kind: NormShape["kind"];
  /** Keeps a variance from 0. */
  eps: number;
  /** Where the rows go. The default is `y`. */
  to?: NormTarget;
  /** The kind of device that rows are cut for. The default is the present one. */
  profile?: DeviceProfile;
}

const LANES = { software: 8, gpu: 64 };
/**
 * Most packs of a row that a lane holds: 2 KiB of its private memory. A gradient has three numbers of each element besides, 6 KiB
 * of the memory of its function. WGSL lets an invocation have 8 KiB of either.
 */
export const MOST_HELD = 128;

/** Lanes that share a row. */
export function normLanes({ isSoftware }: DeviceProfile): number {
  return isSoftware ? LANES.software : LANES.gpu;
}

/** Where a norm has the packs of its rows: held where a load from storage is dear. */
function packsOf({ isSoftware }: DeviceProfile, packs: number): RowPacks {
  return isSoftware && packs / LANES.software <= MOST_HELD ? "held" : "storage";
}

/** The module that normalises rows, each by `lanes` lanes. */
export function normModule(
  { width, lanes, kind, to, hasBias, isUniform, packs }: InputNorm & {
    width: number;
    lanes: number;
    to: NormTarget;
    packs: RowPacks;
  },
  { subgroupSize, longLoads }: Pick<DeviceProfile, "subgroupSize" | "longLoads">,
): WgslModule {
  const pack = packOf(width, to);
  return join(
    "norm",
    storedPackPiece(pack, { longLoads }),
    lanesPiece(lanes, { shuffles: lanes <= subgroupSize }),
    {
      // One sum at a time is shared.
      constants: { WIDTH: width, LANES: lanes, WORKGROUP: lanes, ROWS: 1 },
      fragments: [wgsl.norm],
    },
    momentsPiece(kind, packs),
    normalisedPiece({ kind, hasBias, isUniform }),
    putPackPiece(to, width),
  );
}

/** Elements of a pack, which may not lie across two heads. */
function packOf(width: number, to: NormTarget): 1 | 4 {
  if (typeof to === "string") return packSize(width);
  const sizes = [width / to.heads, to.first, to.width];
  return sizes.every((size) => packSize(size) === 4) ? 4 : 1;
}

/** A normalisation whose weights are on the device, and stay the caller's. */
export class Norm {
  readonly #gpu: Gpu;
  readonly #kernel: Kernel;
  readonly #weights: { gain: Tensor; bias?: Tensor };
  readonly #params = new KeptBuffers();
  /** What kernels are to know of it. */
  readonly shape: NormShape;
  /** Keeps a variance from 0. */
  readonly eps: number;

  private constructor(
    gpu: Gpu,
    kernel: Kernel,
    weights: { gain: Tensor; bias?: Tensor },
    { kind, eps }: Pick<NormOptions, "kind" | "eps">,
  ) {
    this.#gpu = gpu;
    this.#kernel = kernel;
    this.#weights = weights;
    this.shape = { kind, hasBias: weights.bias !== undefined };
    this.eps = eps;
  }

  /**
   * Compiles the kernel.
   *
   * @param weights f32 [width] each.
   * @param options How, and where to.
   */
  static async create(
    gpu: Gpu,
    weights: { gain: Tensor; bias?: Tensor },
    { kind, eps, to = "y", profile = gpu.profile }: NormOptions,
  ): Promise<Norm> {
    const width = weights.gain.length;
    const lanes = normLanes(profile);
    const pack = packOf(width, to);
    const numPacks = width / pack;
    const packs = packsOf(profile, numPacks);
    // Packs may be held, their moments are taken, and what becomes of them is written.
    const loops = (packs === "held" ? 1 : 0) + MOMENT_LOOPS[kind] + 1;
    const rounds = loops * Math.ceil(numPacks / lanes);
    checkRounds(profile, "normalise", rounds, { width });
    const on = { subgroupSize: gpu.profile.subgroupSize, longLoads: profile.longLoads };
    const hasBias = weights.bias !== undefined;
    const { maxUniformBufferBindingSize: maxBytes } = gpu.device.limits;
    const isUniform = bindsGainAsUniform(profile, weights.gain.buffer, { pack, maxBytes });
    const shape = { width, lanes, kind, to, hasBias, isUniform, packs };
    const kernel = await Kernel.compile(gpu, normModule(shape, on));
    return new Norm(gpu, kernel, weights, { kind, eps });
  }

  /** The weights, by their names in kernels. */
  get buffers(): { gain: GPUBuffer; normBias?: GPUBuffer } {
    const { gain, bias } = this.#weights;
    return { gain: gain.buffer, ...(bias && { normBias: bias.buffer }) };
  }

  /** Bytes of the weights. */
  get bytes(): number {
    return this.#weights.gain.bytes + (this.#weights.bias?.bytes ?? 0);
  }

  /** Binds `numRows` rows of `x` and `y`. */
  bind(buffers: Buffers, numRows: number): BoundWork {
    const { eps } = this;
    const params = this.#params.get(
      `${numRows} rows`,
      () => this.#kernel.uniform({ numRows, eps }),
    );
    const grid = gridOfRows(numRows, this.#gpu.device.limits.maxComputeWorkgroupsPerDimension);
    return boundWork([this.#kernel.bind({ ...buffers, ...this.buffers, params }, grid)]);
  }

  destroy(): void {
    this.#params.destroy();
  }
}
