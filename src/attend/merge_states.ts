import * as wgsl from "../../kernels/mod.ts";
import { checkArray, checkChoice, checkObject, copyShape, sentence } from "../base/check.ts";
import { Kernel } from "../gpu/kernel.ts";
import { packSize } from "../tensor/loads.ts";
import { packPiece, packType } from "../tensor/pieces.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import { STATE_PIECE } from "./pieces.ts";
import { checkApart } from "../gpu/apart.ts";
import { type BoundWork, boundWork, gridOfRows } from "../gpu/bound_work.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import {
  checkDtype,
  checkTensor,
  type HostFloats,
  type HostTensor,
  Tensor,
} from "../tensor/tensor.ts";
import { type Dtype, elementCount } from "../tensor/dtype.ts";

/**
 * Attention over a shard of a context, as `Attention` and `attend` return it with `outputs: ["lse"]`.
 *
 * It is all that another device or machine needs to know about its shard. On the wire: `lse` as little-endian f32, then `o`
 * as little-endian f32 or f16, each row-major as its shape says; a row that sees nothing of the shard has an o of 0 and an
 * lse of -3.4028234663852886e38 or less.
 */
export interface AttentionState<Kind extends HostTensor | Tensor> {
  /** Output [..., valueDim]. */
  o: Kind;
  /** Natural logarithm of the sum of the scores' exponentials, shaped as o without its last axis. */
  lse: Kind;
}

const ACTION = "merge states";
const WORKGROUP = 32;

/** The module that merges outputs of such values. */
export function mergeStatesModule(valueDim: number, dtype: Dtype): WgslModule {
  const pack = packSize(valueDim);
  return join("merge states", packPiece(pack), STATE_PIECE, {
    types: { Pack: packType(dtype, pack) },
    constants: { VALUE_DIM: valueDim, WORKGROUP },
    fragments: [wgsl.mergeStates],
  });
}

/**
 * Merges attention over the shards of a context into attention over the whole, ready to be encoded as often as one likes:
 * `o = sum_i exp(lse_i - lse) o_i` with `lse = log(sum_i exp(lse_i))` (Flash-Decoding, 2023; cascade attention, FlashInfer,
 * Ye et al. 2025, arXiv 2501.01005). Shards may be a prefix and a suffix, or lie on several devices or machines.
 *
 * @example
 * ```ts
 * import { Gpu, MergeStates, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const merge = await MergeStates.create(gpu, { shape: [1, 1, 2, 4] });
 * const state = async (value: number) => ({
 *   o: await Tensor.upload(gpu, { data: Array(8).fill(value), shape: [1, 1, 2, 4] }),
 *   lse: await Tensor.upload(gpu, { data: [0, value], shape: [1, 1, 2] }),
 * });
 * const [a, b, whole] = await Promise.all([0, 3, NaN].map(state));
 *
 * const encoder = gpu.device.createCommandEncoder();
 * merge.encode(encoder, [a, b], whole);
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log(await whole.o.download()); // 1.5 where both weigh alike, and 2.86 where b does more
 * gpu.destroy();
 * ```
 */
export class MergeStates {
  /** Where it runs. */
  readonly gpu: Gpu;
  /** Shape of an output. */
  readonly shape: readonly number[];
  /** Element type of an output. */
  readonly dtype: Dtype;

  readonly #owned: Owned;
  readonly #kernel: Kernel;
  readonly #params: Readonly<Record<"first" | "next", GPUBuffer>>;

  private constructor(
    gpu: Gpu,
    { shape, dtype }: { shape: readonly number[]; dtype: Dtype },
    owned: Owned,
    kernel: Kernel,
    params: Readonly<Record<"first" | "next", GPUBuffer>>,
  ) {
    this.gpu = gpu;
    this.shape = [...shape];
    this.dtype = dtype;
    this.#owned = owned;
    this.#kernel = kernel;
    this.#params = params;
  }

  /**
   * Compiles what is not compiled yet.
   *
   * @param gpu Where to run.
   * @param outputs Shape of an output, its last axis the value, and its element type, by default `"f32"`.
   * @returns The merge. Destroy it with {@linkcode MergeStates.destroy}.
   * @throws {TypeError} If the shape has fewer than two axes, or the element type is none of numbers.
   * @throws {RangeError} If a size is not a positive whole number, or the device lacks the element type.
   * @throws {GpuWorkError} If the device refuses the memory or the kernel.
   *
   * @example For f16 outputs of two sequences, where the device has f16
   * ```ts
   * import { Gpu, MergeStates } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const dtype = gpu.features.f16 ? "f16" : "f32";
   * const merge = await MergeStates.create(gpu, { shape: [2, 1, 8, 64], dtype });
   * console.log(merge.shape); // [2, 1, 8, 64]
   * merge.destroy();
   * gpu.destroy();
   * ```
   */
  static async create(
    gpu: Gpu,
    outputs: { shape: readonly number[]; dtype?: Dtype },
  ): Promise<MergeStates> {
    checkGpu(ACTION, gpu);
    checkObject(ACTION, "outputs", outputs);
    const { dtype = "f32" } = outputs;
    const shape = copyShape(ACTION, "shape", outputs.shape);
    if (shape.length < 2) {
      throw new TypeError(
        sentence(ACTION, "an output must have rows and a value (two axes or more)", { shape }),
      );
    }
    checkChoice(ACTION, "dtype", dtype, ["f32", "f16"]);
    checkDtype(gpu, ACTION, dtype);
    const kernel = await Kernel.compile(gpu, mergeStatesModule(shape.at(-1)!, dtype));
    const numRows = elementCount(shape.slice(0, -1));
    return await Owned.make(async (owned) => {
      const params = await gpu.guard("allocate a merge", () => ({
        first: owned.keep(kernel.uniform({ numRows, isFirst: 1 })),
        next: owned.keep(kernel.uniform({ numRows, isFirst: 0 })),
      }));
      return new MergeStates(gpu, { shape, dtype }, owned, kernel, params);
    });
  }

  /**
   * Encodes the merge: one dispatch per state. States that are f16 are rounded once each.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param states One state or more, in any order. The first may be the whole itself, which the others are then merged into.
   * @param whole What to write.
   * @throws {TypeError} If there is no state, a tensor is missing, of another device or of another element type, or one is
   * read and written at once.
   * @throws {RangeError} If a shape does not match.
   *
   * @example Into the first state, in place
   * ```ts
   * import { Gpu, MergeStates, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const merge = await MergeStates.create(gpu, { shape: [1, 4] });
   * const state = async (value: number) => ({
   *   o: await Tensor.upload(gpu, { data: Array(4).fill(value), shape: [1, 4] }),
   *   lse: await Tensor.upload(gpu, { data: [0], shape: [1] }),
   * });
   * const [whole, other] = await Promise.all([1, 2].map(state));
   *
   * const encoder = gpu.device.createCommandEncoder();
   * merge.encode(encoder, [whole, other], whole);
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(await whole.o.download()); // [1.5, 1.5, 1.5, 1.5]
   * gpu.destroy();
   * ```
   */
  encode(
    target: GPUCommandEncoder | GPUComputePassEncoder,
    states: readonly AttentionState<Tensor>[],
    whole: AttentionState<Tensor>,
  ): void {
    this.bind(states, whole).encode(target);
  }

  /**
   * Checks and binds the states once, for loops that fill them anew for each step: see {@linkcode MergeStates.encode}.
   *
   * @param states One state or more, in any order. The first may be the whole itself, which the others are then merged into.
   * @param whole What each encoding writes. All of them and the merge must outlive what is returned.
   * @returns The merge of these states, to be encoded as often as one likes.
   * @throws {TypeError} If there is no state, a tensor is missing, of another device or of another element type, or one is
   * read and written at once.
   * @throws {RangeError} If a shape does not match.
   */
  bind(states: readonly AttentionState<Tensor>[], whole: AttentionState<Tensor>): BoundWork {
    const isWhole = ({ o, lse }: AttentionState<Tensor>) =>
      o.buffer === whole.o.buffer && lse.buffer === whole.lse.buffer;
    checkStates(states);
    this.#check("whole", whole);
    states.forEach((state, i) => this.#check(`states[${i}]`, state));
    const others = isWhole(states[0]) ? states.slice(1) : states;
    const written = [whole.o.buffer, whole.lse.buffer];
    const read = others.flatMap(({ o, lse }) => [o.buffer, lse.buffer]);
    const rule = "only the first state may be the whole itself";
    checkApart(ACTION, rule, { written, read }, { states: states.length });
    const { maxComputeWorkgroupsPerDimension } = this.gpu.device.limits;
    const numRows = elementCount(this.shape.slice(0, -1));
    const grid = gridOfRows(numRows, maxComputeWorkgroupsPerDimension);
    const dispatches = others.map(({ o, lse }, i) => {
      const isFirst = i === 0 && others.length === states.length;
      return this.#kernel.bind({
        params: isFirst ? this.#params.first : this.#params.next,
        ...{ oNext: o.buffer, lseNext: lse.buffer },
        ...{ o: whole.o.buffer, lse: whole.lse.buffer },
      }, grid);
    });
    return boundWork(dispatches);
  }

  /** Frees the parameters. */
  destroy(): void {
    this.#owned.destroy();
  }

  #check(name: string, state: AttentionState<Tensor>): void {
    const { gpu, shape, dtype } = this;
    checkTensor(ACTION, `${name}.o`, state?.o, { gpu, shape, dtype });
    const rows = { gpu, shape: shape.slice(0, -1), dtype: "f32" } as const;
    checkTensor(ACTION, `${name}.lse`, state?.lse, rows);
  }
}

/**
 * Merges attention over the shards of a context in one call: see {@linkcode MergeStates}.
 *
 * @param gpu Where to run.
 * @param states One state or more, all on the host or all on the device, with the same shapes.
 * @returns Attention over the whole, of the kind that came in. The caller destroys tensors.
 * @throws {TypeError} If there is no state, or one is of the wrong kind.
 * @throws {RangeError} If a shape does not match.
 * @throws {GpuWorkError} If the GPU refused some work.
 * @throws {DeviceLostError} If the device is lost.
 *
 * @example The keys of two shards
 * ```ts
 * import { attend, Gpu, mergeStates } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const random = (...shape: number[]) => ({
 *   data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random),
 *   shape,
 * });
 * const q = random(1, 1, 4, 16);
 * const shards = [5, 7].map((tokens) => ({ k: random(1, tokens, 1, 16), v: random(1, tokens, 1, 16) }));
 * const states = await Promise.all(shards.map(async (shard) => {
 *   const { o, lse } = await attend(gpu, { q, ...shard }, { causal: false, outputs: ["lse"] });
 *   return { o, lse };
 * }));
 * const { o } = await mergeStates(gpu, states);
 * console.log(o.shape); // [1, 1, 4, 16]: attention over all 12 tokens
 * gpu.destroy();
 * ```
 */
export function mergeStates(
  gpu: Gpu,
  states: readonly AttentionState<Tensor>[],
): Promise<AttentionState<Tensor>>;
/**
 * Merges states from arrays to arrays.
 *
 * @param gpu Where to run.
 * @param states One state or more on the host: `o` [..., valueDim] and `lse` [...].
 * @returns Attention over the whole, in f32.
 * @throws {TypeError} If there is no state, or one is of the wrong kind.
 * @throws {RangeError} If a shape does not match.
 * @throws {GpuWorkError} If the GPU refused some work.
 * @throws {DeviceLostError} If the device is lost.
 */
export function mergeStates(
  gpu: Gpu,
  states: readonly AttentionState<HostTensor>[],
): Promise<AttentionState<HostFloats>>;
export async function mergeStates(
  gpu: Gpu,
  states: readonly AttentionState<Tensor>[] | readonly AttentionState<HostTensor>[],
): Promise<AttentionState<Tensor> | AttentionState<HostFloats>> {
  checkGpu(ACTION, gpu);
  checkStates(states);
  return areOnDevice(states)
    ? await mergeOnDevice(gpu, states.map((state) => ({ ...state })))
    : await mergeFromHost(gpu, states);
}

function checkStates(states: readonly unknown[]): void {
  checkArray(ACTION, "states", states);
  if (states.length === 0) {
    throw new TypeError(sentence(ACTION, "there must be a state", { states: states.length }));
  }
}

function areOnDevice(
  states: readonly AttentionState<Tensor>[] | readonly AttentionState<HostTensor>[],
): states is readonly AttentionState<Tensor>[] {
  return states[0]?.o instanceof Tensor;
}

async function mergeOnDevice(
  gpu: Gpu,
  states: readonly AttentionState<Tensor>[],
): Promise<AttentionState<Tensor>> {
  const { shape, dtype } = states[0].o;
  const merge = await MergeStates.create(gpu, { shape, dtype: dtype as Dtype });
  try {
    return await Owned.make(async (owned) => {
      const o = owned.keep(await Tensor.empty(gpu, shape, { dtype, label: "o" }));
      const lse = owned.keep(await Tensor.empty(gpu, shape.slice(0, -1), { label: "lse" }));
      await gpu.guard(ACTION, () => {
        const encoder = gpu.device.createCommandEncoder();
        merge.encode(encoder, states, { o, lse });
        gpu.device.queue.submit([encoder.finish()]);
      });
      return { o, lse };
    });
  } finally {
    merge.destroy();
  }
}

async function mergeFromHost(
  gpu: Gpu,
  states: readonly AttentionState<HostTensor>[],
): Promise<AttentionState<HostFloats>> {
  return await Owned.use(async (owned) => {
    const upload = async (source: HostTensor, label: string) =>
      owned.keep(await Tensor.upload(gpu, source, { label }));
    // All at once, so that every array is read before the caller goes on.
    const uploaded = await Promise.all(states.map(async (state) => {
      const [o, lse] = await Promise.all([upload(state?.o, "o"), upload(state?.lse, "lse")]);
      return { o, lse };
    }));
    const { o, lse } = await mergeOnDevice(gpu, uploaded);
    owned.keep(o);
    owned.keep(lse);
    return {
      o: { data: await o.download(), shape: o.shape },
      lse: { data: await lse.download(), shape: lse.shape },
    };
  });
}
