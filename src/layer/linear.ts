/** Projections on the device: matrix times vector for one token, matrix times matrix for several. */
import * as wgsl from "../../kernels/mod.ts";
import { type Buffers, Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { laneSums } from "./lanes.ts";
import type { WeightMatrix } from "./weight_matrix.ts";
import { loadPacks, loadsOf, packSize } from "../tensor/loads.ts";
import { packFragment, weightReads } from "../tensor/wgsl_reads.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What a feed-forward layer makes of its inside. */
export type Activation = "silu" | "gelu" | "geluTanh";

/** An activation of each output; where it is gated, of each even row, which the next one is multiplied with. */
export interface LinearActivation {
  kind: Activation;
  isGated: boolean;
}

/** Options of a projection. */
export interface LinearOptions {
  activation?: LinearActivation;
  profile?: DeviceProfile;
}

/** Where outputs go: to `y`, to the sum of it and `y`, or cut into `q`, `k` and `v`. */
export type LinearTarget = "y" | "sum" | { qWidth: number; kvWidth: number };

/** A matrix [out, in] and what is added to its outputs. */
export interface LinearWeights {
  w: WeightMatrix;
  /** f32 [out] */
  bias?: Tensor;
}

/** How a projection is cut into tiles. */
interface Tile {
  rows: number;
  tokens: number;
  /** Invocations that share the sums of a tile. */
  lanes: number;
  workgroup: number;
}

const ACTIVATIONS: Readonly<Record<Activation, string>> = {
  silu: wgsl.activationSilu,
  gelu: wgsl.activationGelu,
  geluTanh: wgsl.activationGeluTanh,
};

/**
 * A tile of 16 sums for several tokens, 8 loads for 16 products; for one token as many rows as hide the load of x. On GPUs
 * lanes share a row, so that neighbours load neighbouring weights; in software a lane has its rows alone.
 */
function tileOf({ isSoftware, subgroupSize }: DeviceProfile, numTokens: number): Tile {
  const isOne = numTokens === 1;
  if (isSoftware) return { rows: isOne ? 8 : 4, tokens: isOne ? 1 : 4, lanes: 1, workgroup: 8 };
  if (!isOne) return { rows: 4, tokens: 4, lanes: 8, workgroup: 64 };
  return { rows: 4, tokens: 1, lanes: subgroupSize >= 32 ? 32 : 16, workgroup: 128 };
}

/** A projection whose weights are on the device, and stay the caller's. */
export class Linear {
  readonly #gpu: Gpu;
  readonly #label: string;
  readonly #weights: LinearWeights;
  readonly #activation: LinearActivation | undefined;
  readonly #profile: DeviceProfile;
  readonly #params = new KeptBuffers();

  /** `profile` is what kind of device tiles are cut for, by default the present one. */
  constructor(
    gpu: Gpu,
    label: string,
    weights: LinearWeights,
    { activation, profile = gpu.profile }: LinearOptions = {},
  ) {
    this.#gpu = gpu;
    this.#label = label;
    this.#weights = weights;
    this.#activation = activation;
    this.#profile = profile;
  }

  /** Bytes of the weights. */
  get bytes(): number {
    const { w, bias } = this.#weights;
    return w.bytes + (bias?.bytes ?? 0);
  }

  /** Compiles what so many tokens need, and binds `x` and what is written. */
  async bind(
    buffers: Buffers,
    numTokens: number,
    target: LinearTarget = "y",
  ): Promise<BoundWork> {
    const { w: { parts }, bias } = this.#weights;
    const tile = tileOf(this.#profile, numTokens);
    const kernels = await Promise.all(
      parts.map(({ w }) => this.#compile(tile, target, w.shape[0])),
    );
    const rowsOfWorkgroup = tile.workgroup / tile.lanes * tile.rows;
    return boundWork(parts.map(({ w, firstRow }, i) => {
      const weights = { w: w.buffer, ...(bias && { bias: bias.buffer }) };
      const params = this.#params.get(
        `${numTokens} tokens from row ${firstRow}`,
        () => kernels[i].uniform({ numTokens, firstRow }),
      );
      return kernels[i].bind({ ...buffers, ...weights, params }, [
        Math.ceil(w.shape[0] / rowsOfWorkgroup),
        Math.ceil(numTokens / tile.tokens),
      ]);
    }));
  }

  destroy(): void {
    this.#params.destroy();
  }

  #compile(
    { rows: ROWS, tokens: TOKENS, lanes: LANES, workgroup: WORKGROUP }: Tile,
    target: LinearTarget,
    PART: number,
  ): Promise<Kernel> {
    const { w, bias } = this.#weights;
    const [OUT, IN] = w.shape;
    const pack = packSize(IN);
    const action = `project by ${this.#label}`;
    const loads = loadsOf(this.#profile, w.dtype, IN);
    const rounds = Math.ceil(IN / (pack * loadPacks(loads) * LANES));
    checkRounds(this.#profile, action, rounds, { inputs: IN });
    const reads = weightReads(w.dtype, pack, loads);
    const sums = laneSums(this.#gpu, LANES);
    const end = endOf(this.#activation, target);
    return Kernel.compile(this.#gpu, this.#label, {
      enables: sums.enables,
      types: { T: "f32", ...reads.types },
      constants: {
        ...{ IN, OUT, PART, ROWS, TOKENS, LANES, WORKGROUP, ROW_GROUPS: WORKGROUP / LANES },
        ...{ ROWS_PER_OUTPUT: end.rowsPerOutput, OUTPUTS: ROWS / end.rowsPerOutput },
        ...reads.constants,
        ...sums.constants,
        ...end.constants,
      },
      fragments: [
        packFragment(pack),
        ...reads.fragments,
        ...sums.fragments,
        bias ? wgsl.linearBias : wgsl.linearBiasNone,
        ...end.fragments,
        wgsl.linear,
      ],
    });
  }
}

function endOf(activation: LinearActivation | undefined, target: LinearTarget) {
  const { constants, fragment } = putOf(target);
  if (!activation) {
    return { rowsPerOutput: 1, constants, fragments: [wgsl.outputLinear, fragment] };
  }
  const { kind, isGated } = activation;
  const output = isGated ? wgsl.outputGated : wgsl.outputActivated;
  return {
    rowsPerOutput: isGated ? 2 : 1,
    constants,
    fragments: [ACTIVATIONS[kind], output, fragment],
  };
}

function putOf(target: LinearTarget): { constants: Record<string, number>; fragment: string } {
  if (target === "y") return { constants: {}, fragment: wgsl.put };
  if (target === "sum") return { constants: {}, fragment: wgsl.putSum };
  const constants = { Q_WIDTH: target.qWidth, KV_WIDTH: target.kvWidth };
  return { constants, fragment: wgsl.putQkv };
}
