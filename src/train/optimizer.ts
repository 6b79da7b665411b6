/** The optimizer: AdamW, with the norm of all gradients clipped. */
import * as wgsl from "../../kernels/mod.ts";
import { checkFinite, checkPositive, sentence } from "../base/check.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { type BoundWork, boundWork, gridOfRows } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { Kernel } from "../gpu/kernel.ts";
import { Owned } from "../gpu/owned.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { Tensor } from "../tensor/tensor.ts";

const WORKGROUP = 64;
const LANES = { software: 8, gpu: 64 };
/** Elements of a gradient whose squares a workgroup adds up. */
const CHUNK = 2 ** 14;

/** The numbers of AdamW. */
export interface AdamWOptions {
  /** Share of the mean gradient that a step keeps. The default is 0.9. */
  beta1?: number;
  /** Share of the mean square that a step keeps. The default is 0.95. */
  beta2?: number;
  /** Keeps a mean square from 0. The default is 1e-8. */
  eps?: number;
  /** Part of a matrix that a step takes away, times the rate; norms and biases do not decay. The default is 0. */
  decay?: number;
  /** The largest norm of all gradients together; larger ones are scaled down to it. The default is 1. */
  clip?: number;
}

/** A parameter and what belongs to it, all f32 of one shape. */
export interface Parameter {
  /** The weight. */
  w: Tensor;
  /** Its gradient, to which backward passes add, and which a step sets to zero. */
  gradient: Tensor;
  /** The mean of its gradients. */
  m: Tensor;
  /** The mean of their squares. */
  v: Tensor;
}

/**
 * Checks the numbers and fills in their defaults.
 *
 * @throws {TypeError} If one is no number.
 * @throws {RangeError} If one is out of range.
 */
export function fillInAdamW(action: string, options: AdamWOptions): Required<AdamWOptions> {
  const { beta1 = 0.9, beta2 = 0.95, eps = 1e-8, decay = 0, clip = 1 } = options;
  checkPositive(action, "eps", eps);
  checkPositive(action, "clip", clip);
  for (const [name, value] of Object.entries({ beta1, beta2 })) {
    checkFinite(action, name, value);
    // What rounds to 1 would never learn.
    if (value >= 0 && Math.fround(1 - value) > 0) continue;
    throw new RangeError(sentence(action, `${name} must be from 0 to below 1`, { [name]: value }));
  }
  checkFinite(action, "decay", decay);
  if (decay < 0) throw new RangeError(sentence(action, "decay must not be negative", { decay }));
  return { beta1, beta2, eps, decay, clip };
}

/** The module that adds up squares. */
export function squaresModule(
  lanes: number,
  { subgroupSize }: { subgroupSize: number },
): WgslModule {
  return lanesModule("squares", wgsl.squares, lanes, subgroupSize);
}

/** The module that takes the norm of all gradients. */
export function clipModule(lanes: number, { subgroupSize }: { subgroupSize: number }): WgslModule {
  return lanesModule("clip", wgsl.clip, lanes, subgroupSize);
}

function lanesModule(
  label: string,
  fragment: string,
  lanes: number,
  subgroupSize: number,
): WgslModule {
  return join(label, lanesPiece(lanes, { shuffles: lanes <= subgroupSize }), {
    // One sum at a time is shared.
    constants: { LANES: lanes, WORKGROUP: lanes, ROWS: 1 },
    fragments: [fragment],
  });
}

/** The module of a step. */
export function adamwModule(): WgslModule {
  return join("adamw", { constants: { WORKGROUP }, fragments: [wgsl.adamw, wgsl.each] });
}

/** A tensor of zeros that is shaped as another. */
function zerosAs(gpu: Gpu, { shape }: Tensor, label: string): Promise<Tensor> {
  return Tensor.empty(gpu, shape, { label });
}

/** AdamW over parameters whose weights stay the caller's (Loshchilov and Hutter 2017, arXiv 1711.05101). */
export class AdamW {
  /** The parameters, in the order in which they were given. */
  readonly parameters: readonly Parameter[];
  /** Norm of all gradients before the last step, and the factor on them: f32 [2]. */
  readonly clipping: Tensor;

  readonly #gpu: Gpu;
  readonly #options: Required<AdamWOptions>;
  readonly #schedule: Tensor;
  readonly #work: BoundWork;
  readonly #owned: Owned;

  private constructor(gpu: Gpu, options: Required<AdamWOptions>, made: {
    parameters: readonly Parameter[];
    clipping: Tensor;
    schedule: Tensor;
    work: BoundWork;
    owned: Owned;
  }) {
    this.#gpu = gpu;
    this.#options = options;
    this.parameters = made.parameters;
    this.clipping = made.clipping;
    this.#schedule = made.schedule;
    this.#work = made.work;
    this.#owned = made.owned;
  }

  /**
   * Allocates gradients and means, all of them zero, and compiles the kernels.
   *
   * @param weights The parameters, f32; those of several axes decay.
   */
  static async create(
    gpu: Gpu,
    weights: readonly Tensor[],
    options: AdamWOptions = {},
  ): Promise<AdamW> {
    const filled = fillInAdamW("create AdamW", options);
    return await Owned.make(async (owned) => {
      const parameters: Parameter[] = [];
      for (const w of weights) {
        parameters.push({
          w,
          gradient: owned.keep(await zerosAs(gpu, w, "gradient")),
          m: owned.keep(await zerosAs(gpu, w, "m")),
          v: owned.keep(await zerosAs(gpu, w, "v")),
        });
      }
      const clipping = owned.keep(await Tensor.empty(gpu, [2], { label: "clipping" }));
      const schedule = owned.keep(await Tensor.empty(gpu, [6], { label: "schedule" }));
      const shared = { clipping, schedule };
      const work = await bindStep(gpu, owned, parameters, { ...shared, ...filled });
      return new AdamW(gpu, filled, { parameters, ...shared, work, owned });
    });
  }

  /**
   * Encodes a step from the gradients, which are zero afterwards. Where one of them is not finite, nothing else changes, and
   * the norm in `clipping` is not finite.
   *
   * @param target The encoder or compute pass to encode into, submitted before the next call.
   * @param step Its number, from 1 on.
   * @param rate Learning rate.
   */
  encode(target: GPUCommandEncoder | GPUComputePassEncoder, step: number, rate: number): void {
    const { beta1, beta2, eps } = this.#options;
    const schedule = [rate, 1 - beta1 ** step, 1 - beta2 ** step, 1 - beta1, 1 - beta2, eps];
    const { queue } = this.#gpu.device;
    queue.writeBuffer(this.#schedule.buffer, 0, new Float32Array(schedule));
    this.#work.encode(target);
  }

  /** Frees what it allocated; weights stay the caller's. */
  destroy(): void {
    this.#owned.destroy();
  }
}

/** The norm of all gradients, then a step of each parameter. */
async function bindStep(
  gpu: Gpu,
  owned: Owned,
  parameters: readonly Parameter[],
  { clipping, schedule, clip, decay }: {
    clipping: Tensor;
    schedule: Tensor;
    clip: number;
    decay: number;
  },
): Promise<BoundWork> {
  const { profile, device: { limits } } = gpu;
  const lanes = lanesOf(profile);
  const [squares, norm, adamw] = await Promise.all([
    Kernel.compile(gpu, squaresModule(lanes, profile)),
    Kernel.compile(gpu, clipModule(lanes, profile)),
    Kernel.compile(gpu, adamwModule()),
  ]);
  const chunksOf = ({ w }: Parameter) => Math.ceil(w.length / CHUNK);
  const count = parameters.reduce((sum, parameter) => sum + chunksOf(parameter), 0);
  const parts = owned.keep(await Tensor.empty(gpu, [count], { label: "squares" }));
  let first = 0;
  const ofSquares = parameters.map((parameter) => {
    const { w, gradient } = parameter;
    const values = { length: w.length, chunk: CHUNK, first };
    const params = owned.keep(squares.uniform(values));
    first += chunksOf(parameter);
    const buffers = { params, gradient: gradient.buffer, parts: parts.buffer };
    return squares.bind(buffers, [chunksOf(parameter), 1]);
  });
  const ofNorm = norm.bind({
    ...{ params: owned.keep(norm.uniform({ count, most: clip })) },
    ...{ parts: parts.buffer, clipping: clipping.buffer },
  }, [1, 1]);
  const ofSteps = parameters.map(({ w, gradient, m, v }) => {
    const decayed = w.shape.length > 1 ? decay : 0;
    const params = owned.keep(adamw.uniform({ length: w.length, decay: decayed }));
    const buffers = {
      ...{ params, schedule: schedule.buffer, clipping: clipping.buffer },
      ...{ w: w.buffer, gradient: gradient.buffer, m: m.buffer, v: v.buffer },
    };
    const workgroups = Math.ceil(w.length / WORKGROUP);
    return adamw.bind(buffers, gridOfRows(workgroups, limits.maxComputeWorkgroupsPerDimension));
  });
  return boundWork([...ofSquares, ofNorm, ...ofSteps]);
}

function lanesOf({ isSoftware }: DeviceProfile): number {
  return isSoftware ? LANES.software : LANES.gpu;
}
