/** The gradients of a norm, beside {@linkcode Norm}. */
import * as wgsl from "../../kernels/mod.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { type BoundWork, boundWork, gridOfRows, inSequence } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Kernel } from "../gpu/kernel.ts";
import { Owned } from "../gpu/owned.ts";
import { packSize } from "../tensor/loads.ts";
import { packPiece } from "../tensor/pieces.ts";
import { Tensor } from "../tensor/tensor.ts";
import { ColumnSums } from "./column_sums.ts";
import { putPackPiece } from "./put.ts";
import { checkNormRounds, normLanes, type NormOptions } from "./norm.ts";

/** The module of the gradient by the rows that a norm reads. */
export function normGradientModule(
  { width, lanes, kind, to }: {
    width: number;
    lanes: number;
    kind: NormOptions["kind"];
    to: "y" | "sum";
  },
  { subgroupSize }: { subgroupSize: number },
): WgslModule {
  return join(
    "norm gradient",
    packPiece(packSize(width)),
    lanesPiece(lanes, { shuffles: lanes <= subgroupSize }),
    putPackPiece(to, width),
    {
      // One sum at a time is shared.
      constants: { WIDTH: width, LANES: lanes, WORKGROUP: lanes, ROWS: 1 },
      fragments: [wgsl.moments[kind], wgsl.normGradient],
    },
  );
}

/** Buffers that the gradients of a norm read and add to. */
export interface NormGradientBuffers {
  /** What the norm read: f32 [rows, width]. */
  x: GPUBuffer;
  /** f32 [rows, width] */
  dy: GPUBuffer;
  /** f32 [width] */
  gain: GPUBuffer;
  /** f32 [rows, width] */
  dx: GPUBuffer;
  /** f32 [width], which is added to. */
  dGain: GPUBuffer;
  /** f32 [width], which is added to, where the norm has a bias. */
  dBias?: GPUBuffer;
}

/** The gradients of a norm of rows of one width. */
export class NormGradient {
  readonly #gpu: Gpu;
  readonly #width: number;
  readonly #options: Omit<NormOptions, "to">;
  readonly #owned = new Owned();
  readonly #params = this.#owned.keep(new KeptBuffers());
  readonly #gainSums: ColumnSums;
  readonly #biasSums: ColumnSums;

  /**
   * @param width Elements of a row.
   * @param options As the norm has them.
   */
  constructor(gpu: Gpu, width: number, options: Omit<NormOptions, "to">) {
    this.#gpu = gpu;
    this.#width = width;
    this.#options = options;
    const { profile } = options;
    this.#gainSums = this.#owned.keep(new ColumnSums(gpu, width, { term: "normed", profile }));
    this.#biasSums = this.#owned.keep(new ColumnSums(gpu, width, { profile }));
  }

  /** Binds the gradients of `numRows` rows: `dx`, or its sum with what is in it before, and what they add to those of weights. */
  async bind(
    { x, dy, gain, dx, dGain, dBias }: NormGradientBuffers,
    numRows: number,
    to: "y" | "sum" = "y",
  ): Promise<BoundWork> {
    const { kind, eps, profile = this.#gpu.profile } = this.#options;
    const width = this.#width;
    checkNormRounds(profile, "compute the gradient of a norm", kind, width, { moreLoops: 2 });
    const shape = { width, lanes: normLanes(profile), kind, to };
    const { device, profile: { subgroupSize } } = this.#gpu;
    const kernel = await Kernel.compile(this.#gpu, normGradientModule(shape, { subgroupSize }));
    const params = this.#params.get(`${numRows} rows`, () => kernel.uniform({ numRows, eps }));
    const moments = this.#owned.keep(
      await Tensor.empty(this.#gpu, [numRows, 2], { label: "moments" }),
    ).buffer;
    const grid = gridOfRows(numRows, device.limits.maxComputeWorkgroupsPerDimension);
    return inSequence([
      boundWork([kernel.bind({ params, x, dy, gain, moments, y: dx }, grid)]),
      await this.#gainSums.bind({ x, dy, moments, y: dGain }, numRows),
      ...(dBias ? [await this.#biasSums.bind({ x: dy, y: dBias }, numRows)] : []),
    ]);
  }

  destroy(): void {
    this.#owned.destroy();
  }
}
