import { kernels } from "../kernels/mod.ts";
import { checkChoice, checkInteger, sentence } from "./_check.ts";
import { Kernel } from "./_kernel.ts";
import { fillInRope, Rope, ropeParts } from "./_rope.ts";
import { checkAppend, type Overflow, type RingRules, ringRules, storedTokens } from "./_ring.ts";
import { rowStrides, shapeIn } from "./_sizes.ts";
import { kvStores } from "./_storage.ts";
import { type BoundWork, boundWork } from "./bound.ts";
import type { Gpu } from "./device.ts";
import type { RopeOptions } from "./rope.ts";
import type { AttentionSpec, Layout } from "./spec.ts";
import { checkDtype, checkTensor, type Dtype, DTYPES, type KvDtype, Tensor } from "./tensor.ts";

/** Options of {@linkcode RingKvCache.create}. */
export interface RingKvCacheOptions {
  /** Sequences. The default is 1. */
  batch?: number;
  /** Key/value heads: 1 for multi-query attention. */
  numKvHeads: number;
  /** Elements of a key. */
  headDim: number;
  /** Elements of a value. The default is `headDim`. */
  valueDim?: number;
  /** Slots per sequence: tokens that are kept. */
  capacity: number;
  /**
   * First tokens of a sequence that are never overwritten: every later query sees them besides its window. The default
   * is 0.
   */
  sinks?: number;
  /**
   * Tokens besides the sinks that a query sees, its own included. The default is `capacity - sinks - maxSeqLen + 1`, the
   * most that a ring of this capacity can promise.
   */
  window?: number;
  /** Most tokens of one append once the ring is full. The default is 1. */
  maxSeqLen?: number;
  /**
   * What happens when the ring is full: `"wrap"` overwrites the oldest tokens, `"error"` refuses to append. The default
   * is `"wrap"` where a window is given and `"error"` where not, so that nothing is lost unasked.
   */
  overflow?: Overflow;
  /** Element type of the tensors that are appended, and of queries. The default is `"f32"`. */
  dtype?: Dtype;
  /** Element type in storage; {@linkcode KvDtype} says what it takes and what it costs. The default is `dtype`. */
  kvDtype?: KvDtype;
  /** Rotary position embedding: keys are rotated while they are appended. The default is none. */
  rope?: RopeOptions;
  /** Axes of the tensors that are appended. The default is `"BSNH"`. */
  layout?: Layout;
}

/** New keys and values, of the same number of tokens for every sequence. */
export interface NewTokens {
  /** Keys [B, S, numKvHeads, headDim] (or [B, numKvHeads, S, headDim] in layout `"BNSH"`). */
  k: Tensor;
  /** Values [B, S, numKvHeads, valueDim] (or [B, numKvHeads, S, valueDim]). */
  v: Tensor;
}

const ACTION = "create RingKvCache";
const WORKGROUP = 64;
/** More workgroups than this do not make an append faster; each goes round for the rest. */
const MAX_WORKGROUPS = 1024;
const USAGE = { storage: 0x80, copySrc: 0x04, copyDst: 0x08 };

/**
 * A cache of keys and values on the GPU: a ring of `capacity` slots per sequence, allocated once.
 *
 * Token t of a sequence lies in slot `t mod capacity`; where there are sinks, the first tokens keep the first slots and the
 * others go round in the rest. Appending writes the new tokens in place and never moves old ones, so that a decode step
 * costs the same however long the history. Lengths live on the GPU beside the tokens and follow
 * the order in which encoded work runs; {@linkcode RingKvCache.length} counts what has been encoded, so submit what you
 * encode, in order.
 *
 * Keys and values can be stored as f16, or as int8 or int4 with a step for each token and head ({@linkcode KvDtype}). Stored
 * keys are then off by at most d_k and values by d_v, half a step of their row or 1/1024 of themselves, so that a score is
 * off by at most `e = scale |q|_1 d_k` and an output by at most `d_v + (exp(2 e) - 1) max |v|`. As integers a row with an
 * infinity or a NaN reads as NaN throughout, and one of magnitudes below 1.5e-36 as zero. In f16 what is beyond 65504 becomes
 * an infinity or the largest number, as the device has it.
 *
 * @example A decode loop
 * ```ts
 * import { Attention, Gpu, RingKvCache, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 64, capacity: 256 });
 * const attention = await Attention.create(gpu, { ...cache.spec, numHeads: 8 });
 * const random = (shape: number[]) =>
 *   Tensor.upload(gpu, { data: Array.from({ length: shape[2] * 64 }, Math.random), shape });
 * const [q, k, v] = await Promise.all([8, 1, 1].map((heads) => random([1, 1, heads, 64])));
 * const o = await Tensor.empty(gpu, [1, 1, 8, 64]);
 *
 * for (let token = 0; token < 3; token++) {
 *   const encoder = gpu.device.createCommandEncoder();
 *   cache.append(encoder, { k, v });
 *   attention.encode(encoder, { q, cache, o });
 *   gpu.device.queue.submit([encoder.finish()]);
 * }
 * console.log(cache.length(), (await o.download()).length); // 3 512
 * gpu.destroy();
 * ```
 *
 * @example Rotary positions, four sinks, and keys and values in int8
 * ```ts
 * import { Attention, Gpu, RingKvCache, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const cache = await RingKvCache.create(gpu, {
 *   ...{ numKvHeads: 1, headDim: 64, capacity: 256, window: 252, sinks: 4 },
 *   ...{ kvDtype: "int8", rope: { base: 500_000 } },
 * });
 * const attention = await Attention.create(gpu, { ...cache.spec, numHeads: 8 });
 * const [q, k, v, o] = await Promise.all(
 *   [8, 1, 1, 8].map((heads) => Tensor.empty(gpu, [1, 1, heads, 64])),
 * );
 * const encoder = gpu.device.createCommandEncoder();
 * cache.append(encoder, { k, v });
 * cache.rotate(encoder, q);
 * attention.encode(encoder, { q, cache, o });
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log(cache.bytes); // 35336: 256 tokens of 2 x 68 bytes, counters, table of rotations
 * gpu.destroy();
 * ```
 */
export class RingKvCache {
  /** Where the cache lives. */
  readonly gpu: Gpu;
  /** The part of an attention's specification that the cache decides: spread it into `Attention.create`. */
  readonly spec:
    & Required<
      Pick<
        AttentionSpec,
        | "batch"
        | "numKvHeads"
        | "headDim"
        | "valueDim"
        | "capacity"
        | "sinks"
        | "dtype"
        | "kvDtype"
        | "layout"
        | "kvLayout"
      >
    >
    & Pick<AttentionSpec, "window">;
  /** Keys [B, numKvHeads, capacity, headDim]. */
  readonly k: Tensor;
  /** Values [B, numKvHeads, capacity, valueDim]. */
  readonly v: Tensor;
  /** Tokens ever appended per sequence [B], u32, as of the work that the GPU has done. */
  readonly lengthsBuffer: GPUBuffer;

  readonly #rules: RingRules;
  readonly #rope: Rope | undefined;
  readonly #append: Kernel;
  readonly #arrivals: GPUBuffer;
  readonly #params = new Map<number, GPUBuffer>();
  readonly #lengths: number[];

  private constructor(
    gpu: Gpu,
    spec: RingKvCache["spec"],
    rules: RingRules,
    append: Kernel,
    rope: Rope | undefined,
    k: Tensor,
    v: Tensor,
    counters: { lengths: GPUBuffer; arrivals: GPUBuffer },
  ) {
    this.gpu = gpu;
    this.spec = spec;
    this.k = k;
    this.v = v;
    this.lengthsBuffer = counters.lengths;
    this.#rules = rules;
    this.#rope = rope;
    this.#append = append;
    this.#arrivals = counters.arrivals;
    this.#lengths = new Array(spec.batch).fill(0);
  }

  /**
   * Allocates an empty cache and compiles what it needs.
   *
   * @param gpu Where to allocate.
   * @param options Shapes and rules.
   * @returns The cache. Destroy it with {@linkcode RingKvCache.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, `capacity < sinks + window + maxSeqLen - 1`, the device lacks the
   * element type, or K or V does not fit one storage binding of the device.
   * @throws {GpuWorkError} If the device refuses the memory.
   */
  static async create(gpu: Gpu, options: RingKvCacheOptions): Promise<RingKvCache> {
    const { batch = 1, numKvHeads, headDim, valueDim = headDim, capacity } = options;
    const { dtype = "f32", kvDtype = dtype, layout = "BSNH" } = options;
    for (const [name, value] of Object.entries({ batch, numKvHeads, headDim, valueDim })) {
      checkInteger(ACTION, name, value);
    }
    checkChoice(ACTION, "dtype", dtype, DTYPES);
    checkDtype(gpu, ACTION, dtype);
    checkDtype(gpu, ACTION, kvDtype, "kvDtype");
    checkChoice(ACTION, "layout", layout, ["BSNH", "BNSH"]);
    const rules = ringRules(ACTION, options);
    const rotations = options.rope && fillInRope(ACTION, options.rope, headDim);
    const { maxComputeWorkgroupsPerDimension } = gpu.device.limits;
    if (batch > maxComputeWorkgroupsPerDimension) {
      throw new RangeError(
        sentence(ACTION, "batch must fit one dispatch of the device (use several caches)", {
          batch,
          maxComputeWorkgroupsPerDimension,
        }),
      );
    }

    const stores = kvStores(kvDtype);
    const rotates = ropeParts(rotations);
    const append = await Kernel.compile(gpu, "append", {
      types: { T: dtype, ...stores.types },
      constants: {
        ...{ HEAD_DIM: headDim, VALUE_DIM: valueDim, SINKS: rules.sinks, WORKGROUP },
        ...stores.constants,
        ...rotates.constants,
      },
      fragments: [...rotates.fragments, ...stores.fragments, kernels.append],
    });
    const shape = [batch, numKvHeads, capacity];
    const usage = USAGE.storage | USAGE.copySrc | USAGE.copyDst;
    const rope = rotations && await Rope.create(gpu, rotations, { headDim, dtype });
    let k: Tensor | undefined;
    let v: Tensor | undefined;
    let counters: { lengths: GPUBuffer; arrivals: GPUBuffer };
    try {
      k = await Tensor.empty(gpu, [...shape, headDim], { dtype: kvDtype, label: "cache k" });
      v = await Tensor.empty(gpu, [...shape, valueDim], { dtype: kvDtype, label: "cache v" });
      counters = await gpu.guard("allocate cache counters", () => ({
        lengths: gpu.device.createBuffer({ label: "cache lengths", size: batch * 4, usage }),
        arrivals: gpu.device.createBuffer({ label: "cache arrivals", size: batch * 4, usage }),
      }));
    } catch (error) {
      rope?.destroy();
      k?.destroy();
      v?.destroy();
      throw error;
    }
    const window = rules.overflow === "wrap" ? rules.window : options.window;
    const spec = {
      ...{ batch, numKvHeads, headDim, valueDim, capacity, sinks: rules.sinks, window },
      ...{ dtype, kvDtype, layout, kvLayout: "BNSH" as const },
    };
    return new RingKvCache(gpu, spec, rules, append, rope, k, v, counters);
  }

  /** Bytes that the cache holds on the GPU: K, V, the counters and, for rope, 16 for each pair of elements. */
  get bytes(): number {
    const counters = this.lengthsBuffer.size + this.#arrivals.size;
    return this.k.bytes + this.v.bytes + counters + (this.#rope?.rotations.size ?? 0);
  }

  /**
   * Tokens ever appended to a sequence, the overwritten ones included.
   *
   * @param sequence Index within the batch. The default is 0.
   * @returns The length, counting everything that has been encoded.
   * @throws {RangeError} If there is no such sequence.
   */
  length(sequence = 0): number {
    this.#checkSequence("read a length of RingKvCache", sequence);
    return this.#lengths[sequence];
  }

  /** Tokens ever appended to the longest sequence. */
  get maxLength(): number {
    return Math.max(...this.#lengths);
  }

  /** Tokens of the longest sequence that are still in the cache. */
  get storedLen(): number {
    return storedTokens(this.maxLength, this.spec.capacity);
  }

  /**
   * Encodes the writing of new tokens to every sequence: one dispatch. For the same tensors over and over,
   * {@linkcode RingKvCache.bindAppend} them.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tokens New keys and values.
   * @throws {TypeError} If a tensor is of another device or element type.
   * @throws {RangeError} If a shape does not match the cache, or tokens would be lost that the rules keep. The cache is
   * unchanged.
   */
  append(target: GPUCommandEncoder | GPUComputePassEncoder, tokens: NewTokens): void {
    this.bindAppend(tokens).encode(target);
  }

  /**
   * Checks and binds the tensors of new tokens once, for loops that fill them anew for each step.
   *
   * @param tokens Where each encoding finds new keys and values. They and the cache must outlive what is returned.
   * @returns The append, to be encoded as often as the rules of the ring allow: each encoding counts its tokens, and throws
   * a `RangeError` where tokens would be lost that the rules keep.
   * @throws {TypeError} If a tensor is of another device or element type.
   * @throws {RangeError} If a shape does not match the cache.
   */
  bindAppend(tokens: NewTokens): BoundWork {
    const { layout, batch, numKvHeads, headDim, valueDim } = this.spec;
    const seqLen = tokens.k?.shape[layout === "BSNH" ? 1 : 2];
    this.#checkTensor("k", tokens.k, shapeIn(layout, batch, numKvHeads, seqLen, headDim));
    this.#checkTensor("v", tokens.v, shapeIn(layout, batch, numKvHeads, seqLen, valueDim));

    const dispatch = this.#append.bind({
      params: this.#paramsFor(seqLen),
      lengths: this.lengthsBuffer,
      arrivals: this.#arrivals,
      kNew: tokens.k.buffer,
      vNew: tokens.v.buffer,
      k: this.k.buffer,
      v: this.v.buffer,
      ...(this.#rope && { rotations: this.#rope.rotations }),
    }, [Math.min(seqLen * numKvHeads * 2, MAX_WORKGROUPS), batch]);
    return boundWork([dispatch], () => {
      for (const length of this.#lengths) checkAppend(this.#rules, length, seqLen);
      this.#lengths.forEach((length, sequence) => this.#lengths[sequence] = length + seqLen);
    });
  }

  /**
   * Encodes the rotation of queries in place, to the positions of the last S tokens: after their append, before attention.
   * Up to position 2^24 an element is off by at most 3e-7 of the magnitude of its pair, besides the rounding to `dtype`.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param q Queries [B, S, N, headDim] (or [B, N, S, headDim]) for any number N of heads, read and written.
   * @throws {TypeError} If the cache has no rope, or the tensor is of another device or element type.
   * @throws {RangeError} If the shape does not match the cache, or the cache has not as many tokens.
   */
  rotate(target: GPUCommandEncoder | GPUComputePassEncoder, q: Tensor): void {
    const action = "rotate queries";
    if (!this.#rope) {
      throw new TypeError(
        sentence(action, "the cache must be created with rope", { rope: undefined }),
      );
    }
    const { gpu } = this;
    const { layout, batch, headDim, dtype } = this.spec;
    const [seqLen, numHeads] = layout === "BSNH"
      ? [q?.shape?.[1], q?.shape?.[2]]
      : [q?.shape?.[2], q?.shape?.[1]];
    const shape = shapeIn(layout, batch, numHeads, seqLen, headDim);
    checkTensor(action, "q", q, { gpu, shape, dtype });
    if (seqLen > this.maxLength) {
      throw new RangeError(
        sentence(action, "their tokens must be in the cache (append first)", {
          seqLen,
          maxLength: this.maxLength,
        }),
      );
    }
    const queries = { layout, batch, numHeads, seqLen, buffer: q.buffer };
    this.#rope.rotate(target, queries, this.lengthsBuffer);
  }

  /**
   * Encodes the forgetting of all tokens, of every sequence or of one.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param sequence Index within the batch. The default is all.
   * @throws {RangeError} If there is no such sequence.
   */
  clear(encoder: GPUCommandEncoder, sequence?: number): void {
    if (sequence === undefined) {
      encoder.clearBuffer(this.lengthsBuffer);
      this.#lengths.fill(0);
    } else {
      this.#checkSequence("clear RingKvCache", sequence);
      encoder.clearBuffer(this.lengthsBuffer, sequence * 4, 4);
      this.#lengths[sequence] = 0;
    }
  }

  /** Frees the cache's memory on the GPU. */
  destroy(): void {
    this.k.destroy();
    this.v.destroy();
    this.lengthsBuffer.destroy();
    this.#arrivals.destroy();
    this.#rope?.destroy();
    for (const params of this.#params.values()) params.destroy();
  }

  #paramsFor(seqLen: number): GPUBuffer {
    let params = this.#params.get(seqLen);
    if (!params) {
      const { layout, numKvHeads, capacity } = this.spec;
      const newStride = rowStrides(layout, numKvHeads, seqLen);
      params = this.#append.uniform({ newStride, numKvHeads, seqLen, capacity });
      this.#params.set(seqLen, params);
    }
    return params;
  }

  #checkSequence(action: string, sequence: number): void {
    checkInteger(action, "sequence", sequence, 0);
    if (sequence >= this.spec.batch) {
      throw new RangeError(
        sentence(action, "sequence must be within the batch", {
          sequence,
          batch: this.spec.batch,
        }),
      );
    }
  }

  #checkTensor(name: string, tensor: Tensor, shape: readonly number[]): void {
    const { gpu, spec } = this;
    checkTensor("append to RingKvCache", name, tensor, { gpu, shape, dtype: spec.dtype });
  }
}
