import type { BoundWork } from "../gpu/bound_work.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { type AttentionPlan, planAttention } from "../plan/plan.ts";
import type { AttentionSpec } from "../plan/spec.ts";
import type { AttentionTensors } from "./attention_tensors.ts";
import { prepareAttention, type PreparedAttention } from "./prepare.ts";

/**
 * Attention of one shape on one device, ready to be encoded as often as one likes: `softmax(scale q K^T) V`, with query
 * head h reading KV head `h / groupSize` where it lies. Either fused, in one pass over keys and values (FlashAttention, Dao
 * et al. 2022, arXiv 2205.14135; split contexts as in Flash-Decoding, 2023), or staged, in three kernels (scores, softmax,
 * weighted sum) that can return what lies between them.
 *
 * Both implementations compose the mask and the scores from the options of {@linkcode ScoreSpec}; the kernels have nothing
 * else in them.
 *
 * Multi-query attention: Shazeer 2019, arXiv 1911.02150. Grouped-query attention: Ainslie et al. 2023, arXiv 2305.13245.
 *
 * @example
 * ```ts
 * import { Attention, Gpu, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const attention = await Attention.create(gpu, {
 *   numHeads: 2,
 *   numKvHeads: 1,
 *   headDim: 4,
 *   capacity: 3,
 * });
 * const q = await Tensor.upload(gpu, { data: [1, 0, 0, 0, 0, 1, 0, 0], shape: [1, 1, 2, 4] });
 * const kv = { data: Array.from({ length: 12 }, (_, i) => i / 12), shape: [1, 3, 1, 4] };
 * const k = await Tensor.upload(gpu, kv);
 * const o = await Tensor.empty(gpu, [1, 1, 2, 4]);
 *
 * const encoder = gpu.device.createCommandEncoder();
 * attention.encode(encoder, { q, k, v: k, o });
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log(await o.download());
 * gpu.destroy();
 * ```
 */
export class Attention {
  /** Where it runs. */
  readonly gpu: Gpu;
  /** Its plan. */
  readonly plan: AttentionPlan;

  readonly #owned: Owned;
  readonly #prepared: PreparedAttention;

  private constructor(
    gpu: Gpu,
    plan: AttentionPlan,
    made: { owned: Owned; prepared: PreparedAttention },
  ) {
    this.gpu = gpu;
    this.plan = plan;
    this.#owned = made.owned;
    this.#prepared = made.prepared;
  }

  /**
   * Plans, compiles what is not compiled yet, and allocates the scratch.
   *
   * @param gpu Where to run.
   * @param spec Shapes and options; `{ ...cache.spec, numHeads, seqLen }` for attention over a cache.
   * @returns The attention. Destroy it with {@linkcode Attention.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, heads do not divide, the device lacks the element type, or a limit of
   * the device is exceeded.
   * @throws {WgslError} If `scoreMod` or `maskMod` does not compile.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   *
   * @example For a cache, and for two new tokens at once
   * ```ts
   * import { Attention, explain, Gpu, RingKvCache } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const shape = { numKvHeads: 1, headDim: 16, capacity: 64, maxSeqLen: 2 };
   * const cache = await RingKvCache.create(gpu, shape);
   * const attention = await Attention.create(gpu, { ...cache.spec, numHeads: 4, seqLen: 2 });
   * console.log(explain(attention.plan)); // fused       as nothing but the output is asked for ...
   * attention.destroy();
   * gpu.destroy();
   * ```
   */
  static async create(gpu: Gpu, spec: AttentionSpec): Promise<Attention> {
    checkGpu("create Attention", gpu);
    const plan = planAttention(spec, gpu.device.limits, gpu.profile);
    return await Owned.make(async (owned) =>
      new Attention(gpu, plan, { owned, prepared: await prepareAttention(gpu, owned, plan) })
    );
  }

  /**
   * Encodes the attention once: per block of rows three dispatches where it is staged, one where it is fused and one to
   * merge. For the same tensors over and over, {@linkcode Attention.bind} them.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tensors What to read and write.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type, or read and written at once.
   * @throws {RangeError} If a shape does not match the plan, the cache is empty, or it no longer has tokens that a query
   * would see.
   *
   * @example Output and weights, in one submit with what comes before and after
   * ```ts
   * import { Attention, Gpu, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const attention = await Attention.create(gpu, {
   *   ...{ numHeads: 2, numKvHeads: 1, headDim: 4, capacity: 3, outputs: ["weights"] },
   * });
   * const q = await Tensor.upload(gpu, { data: [1, 0, 0, 0, 0, 0, 0, 0], shape: [1, 1, 2, 4] });
   * const k = await Tensor.upload(gpu, { data: Array(12).fill(1), shape: [1, 3, 1, 4] });
   * const o = await Tensor.empty(gpu, [1, 1, 2, 4]);
   * const weights = await Tensor.empty(gpu, [1, 2, 1, 3]); // [B, N, S, contextLen]
   *
   * const encoder = gpu.device.createCommandEncoder();
   * const pass = encoder.beginComputePass();
   * attention.encode(pass, { q, k, v: k, o, weights });
   * pass.end();
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(await weights.download()); // a third for each key
   * gpu.destroy();
   * ```
   */
  encode(target: GPUCommandEncoder | GPUComputePassEncoder, tensors: AttentionTensors): void {
    this.bind(tensors).encode(target);
  }

  /**
   * Checks and binds the tensors of a loop once, so that a step costs the host no more than its dispatches. A cache may
   * grow, wrap and be cleared in between: its lengths are read on the GPU.
   *
   * Rows of q and o are the last `seqLen` tokens of each sequence, in their order. Where sequences took different numbers of
   * tokens (`lengths` of an append), those of one that took n are in its last n rows; the rows before them are of its earlier
   * tokens, and of none where it has no more.
   *
   * @param tensors What each encoding reads and writes. They and the attention must outlive what is returned.
   * @returns The attention over these tensors, to be encoded as often as one likes.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type, or read and written at once.
   * @throws {RangeError} If a shape does not match the plan.
   *
   * @example A decode loop that is bound once
   * ```ts
   * import { Attention, Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 64, capacity: 256 });
   * const attention = await Attention.create(gpu, { ...cache.spec, numHeads: 8 });
   * const empty = (heads: number) => Tensor.empty(gpu, [1, 1, heads, 64]);
   * const [q, k, v, o] = await Promise.all([8, 1, 1, 8].map(empty));
   *
   * const append = cache.bindAppend({ k, v });
   * const attend = attention.bind({ q, cache, o });
   * for (let token = 0; token < 3; token++) {
   *   const encoder = gpu.device.createCommandEncoder();
   *   append.encode(encoder);
   *   attend.encode(encoder);
   *   gpu.device.queue.submit([encoder.finish()]);
   * }
   * await gpu.settled();
   * gpu.destroy();
   * ```
   */
  bind(tensors: AttentionTensors): BoundWork {
    return this.#prepared.bind(tensors);
  }

  /** Frees the scratch. */
  destroy(): void {
    this.#owned.destroy();
  }
}
