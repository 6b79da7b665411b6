/** The gradients of a norm, beside {@linkcode Norm}. */
import { sentence } from "../base/check.ts";
import * as wgsl from "../../kernels/mod.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { type BoundWork, boundWork, inSequence } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Kernel } from "../gpu/kernel.ts";
import { Owned } from "../gpu/owned.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { packSize } from "../tensor/loads.ts";
import { storedPackPiece } from "../tensor/pieces.ts";
import { Tensor } from "../tensor/tensor.ts";
import { chunksOf } from "./chunks.ts";
import { ColumnSums } from "./column_sums.ts";
import { putPackPiece } from "./put.ts";
import { MOST_HELD, normLanes, type NormOptions } from "./norm.ts";
import { MOMENT_LOOPS, momentsPiece } from "./norm_pieces.ts";

/** The module of the gradient by the rows that a norm reads. */
export function normGradientModule(
  { width, lanes, kind, to }: {
    width: number;
    lanes: number;
    kind: NormOptions["kind"];
    to: "y" | "sum";
  },
  { subgroupSize, longLoads }: Pick<DeviceProfile, "subgroupSize" | "longLoads">,
): WgslModule {
  return join(
    "norm gradient",
    storedPackPiece(packSize(width), { longLoads }),
    lanesPiece(lanes, { shuffles: lanes <= subgroupSize }),
    putPackPiece(to, width),
    {
      // One sum at a time is shared.
      constants: { WIDTH: width, LANES: lanes, WORKGROUP: lanes, ROWS: 1 },
      fragments: [wgsl.normGradient],
    },
    momentsPiece(kind, "held"),
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

/** Fewest rows of a workgroup, whose sums of the gain's gradients are then added up. */
const LEAST_ROWS = 8;
/** Most lanes of a row, where the device has workgroups of so many: fewer in compatibility mode. */
const MOST_LANES = 256;
/** Loops through a row beside those of its moments: it is held, its means are taken, and its gradient is written. */
const LOOPS = 3;
/** Sums over the lanes of a row: of its moments, and its two means. */
const SUMS = { rms: 3, layer: 5 };

/** The gradients of a norm of rows of one width. */
export class NormGradient {
  readonly #gpu: Gpu;
  readonly #width: number;
  readonly #options: Omit<NormOptions, "to">;
  readonly #owned = new Owned();
  readonly #params = this.#owned.keep(new KeptBuffers());
  readonly #columnSums: ColumnSums;

  /**
   * @param width Elements of a row.
   * @param options As the norm has them.
   */
  constructor(gpu: Gpu, width: number, options: Omit<NormOptions, "to">) {
    this.#gpu = gpu;
    this.#width = width;
    this.#options = options;
    const { profile } = options;
    this.#columnSums = this.#owned.keep(new ColumnSums(gpu, width, { profile }));
  }

  /** Binds the gradients of `numRows` rows: `dx`, or its sum with what is in it before, and what they add to those of weights. */
  async bind(
    { x, dy, gain, dx, dGain, dBias }: NormGradientBuffers,
    numRows: number,
    to: "y" | "sum" = "y",
  ): Promise<BoundWork> {
    const { kind, eps, profile = this.#gpu.profile } = this.#options;
    const width = this.#width;
    const { maxComputeInvocationsPerWorkgroup: most } = this.#gpu.device.limits;
    const lanes = lanesOf(profile, width, most);
    const on = { subgroupSize: this.#gpu.profile.subgroupSize, longLoads: profile.longLoads };
    const module = normGradientModule({ width, lanes, kind, to }, on);
    const kernel = await Kernel.compile(this.#gpu, module);
    const sumRounds = SUMS[kind] * Math.log2(lanes);
    const rounds = (MOMENT_LOOPS[kind] + LOOPS) * packsOfLane(width, lanes) + sumRounds;
    const { count, size: chunk } = chunksOf(profile, numRows, 1, {
      leastTerms: LEAST_ROWS,
      rounds,
    });
    const params = this.#params.get(
      `${numRows} rows`,
      () => kernel.uniform({ numRows, chunk, eps }),
    );
    const gainParts = this.#owned.keep(
      await Tensor.empty(this.#gpu, [count, width], { label: "parts of a gain's gradient" }),
    ).buffer;
    return inSequence([
      boundWork([kernel.bind({ params, x, dy, gain, gainParts, y: dx }, [count, 1])]),
      await this.#columnSums.bind({ x: gainParts, y: dGain }, count),
      ...(dBias ? [await this.#columnSums.bind({ x: dy, y: dBias }, numRows)] : []),
    ]);
  }

  destroy(): void {
    this.#owned.destroy();
  }
}

function packsOfLane(width: number, lanes: number): number {
  return Math.ceil(width / packSize(width) / lanes);
}

/** Lanes that share a row, of at most `most`: as many as a norm's, or so many that each can hold its part. */
function lanesOf(profile: DeviceProfile, width: number, most: number): number {
  const mostLanes = Math.min(MOST_LANES, most);
  const all = [normLanes(profile), 64, mostLanes];
  const lanes = all.find((lanes) => packsOfLane(width, lanes) <= MOST_HELD);
  if (lanes !== undefined) return lanes;
  const rule =
    "the lanes of a workgroup must hold a row between them (use narrower rows, or a multiple of 4)";
  const mostElements = MOST_HELD * mostLanes * packSize(width);
  throw new RangeError(
    sentence("compute the gradient of a norm", rule, { width, most: mostElements }),
  );
}
