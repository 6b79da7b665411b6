/** Losses of logits, and their gradients. */
import * as wgsl from "../../kernels/mod.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { type BoundWork, boundWork, gridOfRows } from "../gpu/bound_work.ts";
import { join, renamed, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { RowPacks } from "../layer/norm_pieces.ts";
import { storedPackPiece } from "../tensor/pieces.ts";
import { putPiece } from "../layer/put.ts";

const LANES = { software: 8, gpu: 128 };
/** Times that the kernel goes through logits, those of a teacher included. */
const LOOPS = { label: 3, teacher: 5 };
/** Times that it goes through them besides where it holds them. */
const HOLD_LOOPS = { label: 1, teacher: 2 };
/** Most logits that a lane holds: with those of a teacher, as much as WGSL lets an invocation have. */
const MOST_HELD = 1024;

/** The target of a loss: labels, or the distribution of a teacher. */
export type LossTarget = "label" | "teacher";

/** The module of a loss over a vocabulary. */
export function lossModule(
  { vocabSize, target, to, lanes, packs }: {
    vocabSize: number;
    target: LossTarget;
    to: "y" | "sum";
    lanes: number;
    packs: RowPacks;
  },
  { subgroupSize }: { subgroupSize: number },
): WgslModule {
  const rows = [renamed(wgsl.rowPacks[packs], { x: "logits" })];
  if (target === "teacher") rows.push(renamed(wgsl.rowPacks[packs], TEACHER_NAMES));
  return join(
    "loss",
    lanesPiece(lanes, { shuffles: lanes <= subgroupSize }),
    {
      // One sum at a time is shared.
      constants: { WIDTH: vocabSize, LANES: lanes, WORKGROUP: lanes, ROWS: 1 },
      fragments: [...rows, wgsl.target[target], wgsl.loss],
    },
    storedPackPiece(1, { longLoads: false }),
    putPiece(to, vocabSize),
  );
}

/** Names of what holds the logits of a teacher. */
const TEACHER_NAMES = {
  ...{ x: "teacher", holdRow: "holdTeacher", rowPack: "teacherPack", heldPacks: "heldTeacher" },
};

/** Buffers of a loss. */
export interface LossBuffers {
  /** f32 [tokens, vocabSize] */
  logits: GPUBuffer;
  /** u32 [tokens], each below `vocabSize`, where the target is labels. */
  labels?: GPUBuffer;
  /** The logits of the teacher f32 [tokens, vocabSize], where the target is its distribution. */
  teacher?: GPUBuffer;
  /** The loss of each token f32 [tokens]. */
  losses: GPUBuffer;
  /** f32 [tokens, vocabSize] */
  dLogits: GPUBuffer;
}

/** How a loss counts. */
export interface LossOptions {
  /** What logits are divided by, those of a teacher too. The default is 1. */
  temperature?: number;
  /** Factor on the gradient of each token. The default is `1 / tokens`: the gradient of the mean. */
  weight?: number;
  /** Whether the gradient is written, or added to what is there. The default is written. */
  to?: "y" | "sum";
}

/** Cross-entropy to labels, or divergence from a teacher, with the gradient by the logits in one kernel. */
export class Loss {
  readonly #gpu: Gpu;
  readonly #vocabSize: number;
  readonly #profile: DeviceProfile;
  readonly #params = new KeptBuffers();

  /** `profile` is what kind of device rows are cut for, by default the present one. */
  constructor(
    gpu: Gpu,
    vocabSize: number,
    { profile = gpu.profile }: { profile?: DeviceProfile } = {},
  ) {
    this.#gpu = gpu;
    this.#vocabSize = vocabSize;
    this.#profile = profile;
  }

  /** Binds the loss of `numTokens` tokens. */
  async bind(
    { dLogits, ...buffers }: LossBuffers,
    numTokens: number,
    { temperature = 1, weight = 1 / numTokens, to = "y" }: LossOptions = {},
  ): Promise<BoundWork> {
    const vocabSize = this.#vocabSize;
    const lanes = this.#profile.isSoftware ? LANES.software : LANES.gpu;
    const target = buffers.teacher ? "teacher" : "label";
    const holds = this.#profile.isSoftware && vocabSize <= lanes * MOST_HELD;
    const loops = LOOPS[target] + (holds ? HOLD_LOOPS[target] : 0);
    const rounds = loops * Math.ceil(vocabSize / lanes);
    checkRounds(this.#profile, "compute a loss", rounds, { vocabSize });
    const { device, profile: { subgroupSize } } = this.#gpu;
    const shape = { vocabSize, target, to, lanes, packs: holds ? "held" : "storage" } as const;
    const module = lossModule(shape, { subgroupSize });
    const kernel = await Kernel.compile(this.#gpu, module);
    const params = this.#params.get(
      `${numTokens} tokens, temperature ${temperature}, weight ${weight}`,
      () => kernel.uniform({ numTokens, temperature, weight }),
    );
    const grid = gridOfRows(numTokens, device.limits.maxComputeWorkgroupsPerDimension);
    return boundWork([kernel.bind({ ...buffers, params, y: dLogits }, grid)]);
  }

  destroy(): void {
    this.#params.destroy();
  }
}
