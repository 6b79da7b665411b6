import { sentence } from "./_check.ts";
import type { Executor } from "./_executor.ts";
import { createFused } from "./_fused.ts";
import { inPass } from "./_kernel.ts";
import { checkKept } from "./_ring.ts";
import { shapeIn } from "./_sizes.ts";
import { createStaged } from "./_staged.ts";
import type { Gpu } from "./device.ts";
import { type AttentionPlan, planAttention } from "./plan.ts";
import { RingKvCache } from "./ring_kv_cache.ts";
import type { AttentionOutput, AttentionSpec, FilledSpec } from "./spec.ts";
import { checkDtype, checkTensor, type Tensor } from "./tensor.ts";

/** Keys and values that lie one after the other. */
export interface ContiguousKv {
  /** Keys [B, capacity, numKvHeads, headDim] (or [B, numKvHeads, capacity, headDim] in layout `"BNSH"`). */
  k: Tensor;
  /** Values [B, capacity, numKvHeads, valueDim] (or [B, numKvHeads, capacity, valueDim]). */
  v: Tensor;
  /** Not beside `k` and `v`. */
  cache?: undefined;
}

/** Keys and values of a ring, all the tokens it has when the work runs. */
export interface CachedKv {
  /** A cache of the shape that the attention was created for. */
  cache: RingKvCache;
  /** Not beside `cache`. */
  k?: undefined;
  /** Not beside `cache`. */
  v?: undefined;
}

/** What {@linkcode Attention.encode} reads and writes; all of it is the caller's. */
export type AttentionTensors = (ContiguousKv | CachedKv) & {
  /** Queries [B, S, N, headDim] (or [B, N, S, headDim]). */
  q: Tensor;
  /** Output [B, S, N, valueDim] (or [B, N, S, valueDim]), written. */
  o: Tensor;
  /** Softmax of the scores [B, N, S, contextLen], f32, written; where `outputs` has `"weights"`. */
  weights?: Tensor;
  /** Scaled scores [B, N, S, contextLen], f32, written, about -3.4e38 where masked; where `outputs` has `"scores"`. */
  scores?: Tensor;
};

const ACTION = "encode attention";
const USAGE_STORAGE = 0x80;

/**
 * Attention of one shape on one device, ready to be encoded as often as one likes: `softmax(scale q K^T) V`, with query
 * head h reading KV head `h / groupSize` where it lies. Either fused, in one pass over keys and values (FlashAttention, Dao
 * et al. 2022, arXiv 2205.14135; split contexts as in Flash-Decoding, 2023), or staged, in three kernels (scores, softmax,
 * weighted sum) that can return what lies between them.
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
  /** How it runs. */
  readonly plan: AttentionPlan;

  readonly #executor: Executor;
  readonly #fullLengths: GPUBuffer;

  private constructor(gpu: Gpu, plan: AttentionPlan, executor: Executor, fullLengths: GPUBuffer) {
    this.gpu = gpu;
    this.plan = plan;
    this.#executor = executor;
    this.#fullLengths = fullLengths;
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
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  static async create(gpu: Gpu, spec: AttentionSpec): Promise<Attention> {
    const { device } = gpu;
    const plan = planAttention(spec, device.limits, gpu.profile);
    checkDtype(gpu, "plan attention", plan.spec.dtype);
    const fullLengths = await gpu.guard(
      "allocate attention",
      () => filledBuffer(device, plan.spec.batch, plan.spec.capacity),
    );
    try {
      const executor =
        await (plan.impl === "fused" ? createFused(gpu, plan) : createStaged(gpu, plan));
      return new Attention(gpu, plan, executor, fullLengths);
    } catch (error) {
      fullLengths.destroy();
      throw error;
    }
  }

  /**
   * Encodes the attention: per block of rows three dispatches where it is staged, one where it is fused and one to merge.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tensors What to read and write.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type, or read and written at once.
   * @throws {RangeError} If a shape does not match the plan, the cache is empty, or it no longer has tokens that a query
   * would see.
   */
  encode(target: GPUCommandEncoder | GPUComputePassEncoder, tensors: AttentionTensors): void {
    this.#check(tensors);
    const { plan } = this;
    const { q, o, scores, weights } = tensors;
    const kv = partsOf(tensors).map(({ k, v }) => ({ k: k.buffer, v: v.buffer }));
    const buffers: Record<string, GPUBuffer> = {
      lengths: tensors.cache?.lengthsBuffer ?? this.#fullLengths,
      ...{ q: q.buffer, o: o.buffer },
    };
    if (scores) buffers.scores = scores.buffer;
    if (weights) buffers.weights = weights.buffer;
    // Returned rows are filled to their end; otherwise what no sequence has is not worth a workgroup.
    const { contextLen } = plan;
    const isKept = plan.spec.outputs.length > 0;
    const columns = isKept
      ? contextLen
      : Math.min(contextLen, tensors.cache?.storedLen ?? contextLen);
    inPass(target, (pass) => this.#executor.encode(pass, buffers, kv, columns));
  }

  /** Frees the scratch. */
  destroy(): void {
    this.#executor.destroy();
    this.#fullLengths.destroy();
  }

  #check(tensors: AttentionTensors): void {
    const { gpu, plan } = this;
    const { batch, numHeads, numKvHeads, headDim, valueDim } = plan.spec;
    const { seqLen, capacity, dtype, layout, kvLayout, outputs } = plan.spec;
    const check = (name: string, tensor: Tensor | undefined, shape: number[]) =>
      checkTensor(ACTION, name, tensor!, { gpu, shape, dtype });
    check("q", tensors.q, shapeIn(layout, batch, numHeads, seqLen, headDim));
    if (tensors.cache) {
      checkCache(gpu, tensors.cache, plan.spec);
    } else {
      check("k", tensors.k, shapeIn(kvLayout, batch, numKvHeads, capacity, headDim));
      check("v", tensors.v, shapeIn(kvLayout, batch, numKvHeads, capacity, valueDim));
    }
    check("o", tensors.o, shapeIn(layout, batch, numHeads, seqLen, valueDim));
    for (const output of ["scores", "weights"] as AttentionOutput[]) {
      const tensor = tensors[output];
      if (!outputs.includes(output)) {
        if (!tensor) continue;
        throw new TypeError(
          sentence(ACTION, `${output} must be asked for when the attention is created`, {
            outputs,
          }),
        );
      }
      const shape = [batch, numHeads, seqLen, plan.contextLen];
      checkTensor(ACTION, output, tensor!, { gpu, shape, dtype: "f32" });
    }
    const kv = partsOf(tensors).flatMap(({ k, v }) => [k, v]);
    const read = [tensors.q, ...kv].map((tensor) => tensor.buffer);
    const written = [tensors.o, tensors.scores, tensors.weights].flatMap((tensor) =>
      tensor ? [tensor.buffer] : []
    );
    if (new Set([...written, ...read]).size < written.length + new Set(read).size) {
      throw new TypeError(
        sentence(ACTION, "every output must have a buffer of its own", {
          outputs: ["o", ...outputs],
        }),
      );
    }
  }
}

/** Keys and values, in the parts that they are cut into. */
function partsOf(tensors: AttentionTensors): readonly { k: Tensor; v: Tensor }[] {
  return tensors.cache ? tensors.cache.parts : [tensors];
}

function checkCache(gpu: Gpu, cache: RingKvCache, spec: FilledSpec): void {
  if (!(cache instanceof RingKvCache)) {
    throw new TypeError(sentence(ACTION, "cache must be a RingKvCache", { cache }));
  }
  if (cache.gpu.device !== gpu.device) {
    throw new TypeError(
      sentence(ACTION, "the cache must live on the same device", {
        cache: cache.gpu.description.description,
        device: gpu.description.description,
      }),
    );
  }
  for (const name of ["kvLayout", "dtype"] as const) checkSame(TypeError, name, cache, spec);
  for (const name of ["batch", "numKvHeads", "capacity", "headDim", "valueDim"] as const) {
    checkSame(RangeError, name, cache, spec);
  }
  const { storedLen } = cache;
  if (storedLen === 0) {
    throw new RangeError(sentence(ACTION, "the cache is empty (append first)", { storedLen }));
  }
  for (let b = 0; b < spec.batch; b++) {
    checkKept({ length: cache.length(b), oldest: cache.oldest(b) }, spec);
  }
}

function checkSame(
  kind: typeof TypeError | typeof RangeError,
  name: keyof RingKvCache["spec"],
  cache: RingKvCache,
  spec: FilledSpec,
): void {
  if (spec[name] === cache.spec[name]) return;
  throw new kind(
    sentence(ACTION, `the cache must have the planned ${name} (spread cache.spec)`, {
      [name]: spec[name],
      [`cache.spec.${name}`]: cache.spec[name],
    }),
  );
}

function filledBuffer(device: GPUDevice, count: number, value: number): GPUBuffer {
  const buffer = device.createBuffer({
    label: "attention lengths",
    size: count * 4,
    usage: USAGE_STORAGE,
    mappedAtCreation: true,
  });
  new Uint32Array(buffer.getMappedRange()).fill(value);
  buffer.unmap();
  return buffer;
}
