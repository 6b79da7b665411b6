/** Normalisation of rows on the device. */
import * as wgsl from "../../kernels/mod.ts";
import { type Buffers, Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { type HeadTarget, putPiece } from "./linear.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import { type BoundWork, boundWork, gridOfRows } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The options of a norm. */
export interface NormOptions {
  /** By their root mean square, or by mean and deviation. */
  kind: "rms" | "layer";
  /** Keeps a variance from 0. */
  eps: number;
  /** Where the rows go: to `y`, to the sum of them and `y`, or to a part of each row of `y`. The default is `y`. */
  to?: "y" | "sum" | HeadTarget;
  /** The kind of device that rows are cut for. The default is the present one. */
  profile?: DeviceProfile;
}

const LANES = { software: 8, gpu: 64 };
/** Times that a kernel goes through a row. */
const LOOPS = { rms: 2, layer: 3 };

/** Lanes that share a row. */
export function normLanes({ isSoftware }: DeviceProfile): number {
  return isSoftware ? LANES.software : LANES.gpu;
}

/** Throws where rows are too wide for the loops of a kernel that goes `moreLoops` times more through them than a norm. */
export function checkNormRounds(
  profile: DeviceProfile,
  action: string,
  kind: NormOptions["kind"],
  width: number,
  { moreLoops = 0 }: { moreLoops?: number } = {},
): void {
  const loops = LOOPS[kind] + moreLoops;
  checkRounds(profile, action, loops * Math.ceil(width / normLanes(profile)), { width });
}

/** The module that normalises rows, each by `lanes` lanes. */
export function normModule(
  { width, lanes, kind, to, hasBias }: Required<Pick<NormOptions, "kind" | "to">> & {
    width: number;
    lanes: number;
    hasBias: boolean;
  },
  { subgroupSize }: { subgroupSize: number },
): WgslModule {
  return join("norm", lanesPiece(lanes, { shuffles: lanes <= subgroupSize }), {
    // One sum at a time is shared.
    constants: { WIDTH: width, LANES: lanes, WORKGROUP: lanes, ROWS: 1 },
    fragments: [
      wgsl.moments[kind],
      hasBias ? wgsl.rowBias.added : wgsl.rowBias.none,
      wgsl.norm,
    ],
  }, putPiece(to, width));
}

/** A normalisation whose weights are on the device, and stay the caller's. */
export class Norm {
  readonly #gpu: Gpu;
  readonly #kernel: Kernel;
  readonly #weights: { gain: Tensor; bias?: Tensor };
  readonly #eps: number;
  readonly #params = new KeptBuffers();

  private constructor(
    gpu: Gpu,
    kernel: Kernel,
    weights: { gain: Tensor; bias?: Tensor },
    eps: number,
  ) {
    this.#gpu = gpu;
    this.#kernel = kernel;
    this.#weights = weights;
    this.#eps = eps;
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
    checkNormRounds(profile, "normalise", kind, width);
    const lanes = normLanes(profile);
    const { subgroupSize } = gpu.profile;
    const shape = { width, lanes, kind, to, hasBias: weights.bias !== undefined };
    const kernel = await Kernel.compile(gpu, normModule(shape, { subgroupSize }));
    return new Norm(gpu, kernel, weights, eps);
  }

  /** Bytes of the weights. */
  get bytes(): number {
    return this.#weights.gain.bytes + (this.#weights.bias?.bytes ?? 0);
  }

  /** Binds `numRows` rows of `x` and `y`. */
  bind(buffers: Buffers, numRows: number): BoundWork {
    const { gain, bias } = this.#weights;
    const params = this.#params.get(
      `${numRows} rows`,
      () => this.#kernel.uniform({ numRows, eps: this.#eps }),
    );
    const weights = { gain: gain.buffer, ...(bias && { bias: bias.buffer }) };
    const grid = gridOfRows(numRows, this.#gpu.device.limits.maxComputeWorkgroupsPerDimension);
    return boundWork([this.#kernel.bind({ ...buffers, ...weights, params }, grid)]);
  }

  destroy(): void {
    this.#params.destroy();
  }
}
