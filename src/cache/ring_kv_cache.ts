import { Append, checkSequences } from "./append.ts";
import { checkInteger, checkObject, sentence } from "../base/check.ts";
import { Fork, type SequencePair } from "./fork.ts";
import { checkQueries, type KvView, type ViewingQueries } from "./kv_view.ts";
import {
  allocateParts,
  clearRows,
  counterBuffer,
  type KvPart,
  readRows,
  tensorsOf,
  writeRows,
} from "./kv_memory.ts";
import { kvBytes } from "./kv_shape.ts";
import {
  appended,
  checkKept,
  type KeptTokens,
  type RingRules,
  ringRules,
  storedTokens,
  truncated,
} from "./ring_rules.ts";
import { calibrateRows, channelBuffer, type KvCalibration } from "./kv_calibration.ts";
import { isTransformed } from "./kv_transform.ts";
import { type FilledRingOptions, fillInRing, type RingKvCacheOptions } from "./ring_options.ts";
import { CHANGE_BYTES, Changes } from "./changes.ts";
import { CountedWork } from "./counted_work.ts";
import { bindQueries, keepRotation, Rope, ROPE_QUERIES } from "./rope_kernel.ts";
import { countsOf, newBuffers, type NewTokens } from "./new_tokens.ts";
import { boundOf, type RestoreOptions } from "./restore_options.ts";
import { openSnapshot, packSnapshot, type Snapshot, storedOf } from "./snapshot.ts";
import { type BoundWork, boundWork, checkEncoder } from "../gpu/bound_work.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Owned } from "../gpu/owned.ts";
import { refusalsOf } from "../gpu/refusals.ts";
import { USAGE } from "../gpu/usage.ts";
import { SnapshotError } from "../base/errors.ts";
import type { CacheSpec } from "./cache_spec.ts";
import { checkDtype, type Tensor } from "../tensor/tensor.ts";

const ACTION = "create RingKvCache";
const APPEND = "append to RingKvCache";
const RESTORE = "restore RingKvCache";

/**
 * A cache of keys and values on the GPU: a ring of `capacity` slots per sequence, allocated once, in as many buffers as the
 * bindings of the device need.
 *
 * Token t of a sequence lies in slot `t mod capacity`; where there are sinks, the first tokens keep the first slots and the
 * others go round in the rest. Appending writes the new tokens in place and never moves old ones, so that a decode step
 * costs the same however long the history. Lengths live on the GPU beside the tokens and follow
 * the order in which encoded work runs; {@linkcode RingKvCache.length} counts what has been encoded, so submit what you
 * encode, in order. A rolling buffer as in Mistral 7B (Jiang et al. 2023, arXiv 2310.06825), its sinks as in StreamingLLM
 * (Xiao et al. 2023, arXiv 2309.17453).
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
 * cache.ropeQueries(encoder, q);
 * attention.encode(encoder, { q, cache, o });
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log(cache.bytes); // 35336: 256 tokens of 2 x 68 bytes, counters, table of rotations
 * gpu.destroy();
 * ```
 */
export class RingKvCache implements KvView {
  /** Where the cache lives. */
  readonly gpu: Gpu;
  /** The part of an attention's specification that the cache decides: spread it into `Attention.create`. */
  readonly spec: CacheSpec;
  /** Keys and values, [B, numKvHeads, capacity, ...] cut between heads where one storage binding cannot hold them. */
  readonly parts: readonly KvPart[];
  /** Tokens ever appended per sequence [B], u32, as of the work that the GPU has done. */
  readonly lengthsBuffer: GPUBuffer;
  /** The table of channels of a calibrated cache, by the name of the kernels' variable. */
  readonly buffers: Readonly<Record<string, GPUBuffer>>;

  readonly #owned: Owned;
  readonly #options: FilledRingOptions;
  readonly #rules: RingRules;
  readonly #rope: Rope | undefined;
  readonly #append: Append;
  readonly #fork: Fork;
  readonly #counted: CountedWork;
  readonly #changes: Changes;
  /** Lengths to truncate to, for as many sequences. */
  readonly #truncatedLengths: KeptBuffers;
  #kept: KeptTokens[];

  private constructor(
    gpu: Gpu,
    options: FilledRingOptions,
    made: {
      owned: Owned;
      parts: KvPart[];
      append: Append;
      fork: Fork;
      changes: Changes;
      rope: Rope | undefined;
      lengths: GPUBuffer;
      channels: GPUBuffer | undefined;
    },
  ) {
    const { batch, numKvHeads, headDim, valueDim, capacity, sinks, dtype, kvDtype, layout } =
      options;
    const { valuesAre, kvCalibration, kvRotation } = options;
    const rules = ringRules(ACTION, options);
    const window = rules.overflow === "wrap" ? rules.window : options.window;
    this.gpu = gpu;
    // Frozen, as callers hand it on: what it says must stay what the buffers hold.
    this.spec = Object.freeze({
      ...{ batch, numKvHeads, headDim, valueDim, capacity, sinks, window, dtype, kvDtype, layout },
      ...(valuesAre === undefined ? {} : { valuesAre }),
      ...(kvCalibration === undefined ? {} : { kvCalibrated: true }),
      ...(kvRotation === undefined ? {} : { kvRotation }),
      kvLayout: "BNSH" as const,
    });
    this.parts = Object.freeze(made.parts);
    this.lengthsBuffer = made.lengths;
    this.buffers = made.channels ? { channels: made.channels } : {};
    this.#owned = made.owned;
    this.#truncatedLengths = made.owned.keep(new KeptBuffers());
    this.#options = options;
    this.#rules = rules;
    this.#append = made.append;
    this.#counted = new CountedWork(gpu, [made.lengths]);
    this.#fork = made.fork;
    this.#changes = made.changes;
    this.#rope = made.rope;
    const rows = { arrangement: "padded", batch: options.batch } as const;
    keepRotation(this, made.rope, { ...rows, counters: { lengths: made.lengths } });
    this.#kept = new Array(batch).fill({ oldest: 0, length: 0 });
  }

  /**
   * Allocates an empty cache and compiles what it needs.
   *
   * @param gpu Where to allocate.
   * @param options Shapes and rules.
   * @returns The cache. Destroy it with {@linkcode RingKvCache.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, `capacity < sinks + window + maxSeqLen - 1`, the device lacks the element
   * type, or the keys or values of one head of one sequence do not fit one storage binding of the device.
   * @throws {GpuWorkError} If the device refuses the memory.
   *
   * @example Chunks of up to 16 tokens over a window of 1024, keys and values in f16 where the device has it
   * ```ts
   * import { Gpu, RingKvCache } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, {
   *   ...{ numKvHeads: 1, headDim: 64, window: 1024, maxSeqLen: 16, capacity: 1039 },
   *   kvDtype: gpu.features.f16 ? "f16" : "f32",
   * });
   * console.log(cache.bytes, cache.parts.length); // 265992 1 in f16
   * cache.destroy();
   * gpu.destroy();
   * ```
   */
  static async create(gpu: Gpu, options: RingKvCacheOptions): Promise<RingKvCache> {
    checkGpu(ACTION, gpu);
    return await RingKvCache.#create(gpu, fillInRing(ACTION, options));
  }

  static async #create(gpu: Gpu, options: FilledRingOptions): Promise<RingKvCache> {
    const { batch, headDim, dtype, kvDtype, kvCalibration } = options;
    checkDtype(gpu, ACTION, dtype);
    checkDtype(gpu, ACTION, kvDtype, "kvDtype");
    checkSequences(ACTION, gpu.device.limits, batch);
    return await Owned.make(async (owned) => {
      const parts = await allocateParts(gpu, owned, ACTION, options);
      const { lengths, arrivals, channels } = await gpu.guard("allocate cache counters", () => ({
        lengths: owned.keep(counterBuffer(gpu, "cache lengths", batch)),
        arrivals: owned.keep(counterBuffer(gpu, "cache arrivals", batch)),
        channels: kvCalibration && owned.keep(channelBuffer(gpu, kvCalibration)),
      }));
      const rope = options.rope &&
        await Rope.create(gpu, owned, options.rope, { headDim, dtype });
      const buffers = {
        ...{ lengths, arrivals },
        ...(rope && { ropeTable: rope.table }),
        ...(channels && { channels }),
      };
      const spec = { ...options, kvCalibrated: kvCalibration !== undefined };
      const append = await Append.create(gpu, owned, spec, options.rope, { parts, buffers });
      const fork = await Fork.compile(gpu, owned, kvDtype);
      const changes = await Changes.create(gpu, owned);
      const made = { owned, parts, append, fork, changes, rope, lengths, channels };
      return new RingKvCache(gpu, options, made);
    });
  }

  /**
   * Creates a cache and fills it with what a snapshot holds: also on another device than the snapshot was taken on, and
   * after that was lost.
   *
   * A snapshot's checksum finds damage and proves no origin: of one that a stranger wrote, the lengths, options and
   * sizes are checked, and the keys and values are whatever the stranger likes.
   *
   * @param gpu Where to allocate.
   * @param snapshot What {@linkcode RingKvCache.snapshot} returned.
   * @param options How much memory a snapshot may ask for.
   * @returns A cache that resumes where the other was, bit for bit.
   * @throws {TypeError} If it is no `Uint8Array`.
   * @throws {SnapshotError} If the bytes are no snapshot, not every one of them is as it was, or they are of no state that a
   * cache can have.
   * @throws {RangeError} If keys and values take more than `maxBytes`, or the device cannot hold the cache, as
   * {@linkcode RingKvCache.create}. Nothing is allocated.
   * @throws {GpuWorkError} If the device refuses the memory.
   *
   * @example
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 4, capacity: 16 });
   * const k = await Tensor.upload(gpu, { data: [1, 2, 3, 4], shape: [1, 1, 1, 4] });
   * const encoder = gpu.device.createCommandEncoder();
   * cache.append(encoder, { k, v: k });
   * gpu.device.queue.submit([encoder.finish()]);
   *
   * const saved = await cache.snapshot(); // bytes for a file or a database
   * const resumed = await RingKvCache.restore(gpu, saved);
   * console.log(resumed.length()); // 1
   * gpu.destroy();
   * ```
   */
  static async restore(
    gpu: Gpu,
    snapshot: Uint8Array,
    options: RestoreOptions = {},
  ): Promise<RingKvCache> {
    checkGpu(RESTORE, gpu);
    const checkBound = boundOf(RESTORE, gpu, options);
    const opened = await openSnapshot(snapshot);
    checkBound("keys and values", kvBytes(opened.options, opened.options.capacity));
    return await Owned.make(async (owned) => {
      const cache = owned.keep(await RingKvCache.#create(gpu, opened.options));
      await gpu.guard(RESTORE, () => cache.#fill(opened));
      return cache;
    });
  }

  /**
   * Bytes that the cache holds on the GPU: K, V, the counters, for rope 16 for each pair of elements, and 8 for each channel
   * that is calibrated.
   */
  get bytes(): number {
    const kv = tensorsOf(this.parts).reduce((sum, { bytes }) => sum + bytes, 0);
    const counters = 2 * this.lengthsBuffer.size + CHANGE_BYTES; // lengths, arrivals, changes
    return kv + counters + (this.#rope?.table.size ?? 0) + (this.buffers.channels?.size ?? 0);
  }

  /** Whether keys are rotated while they are appended, so that queries have to be. */
  get hasRope(): boolean {
    return this.#rope !== undefined;
  }

  /**
   * Tokens ever appended to a sequence, the overwritten ones included, less those that were rolled back.
   *
   * @param sequence Index within the batch. The default is 0.
   * @returns The length, counting everything that has been encoded.
   * @throws {TypeError} If it is no number.
   * @throws {RangeError} If there is no such sequence.
   */
  length(sequence = 0): number {
    this.#checkSequence("read a length of RingKvCache", sequence);
    return this.#kept[sequence].length;
  }

  /**
   * Position of the oldest token of a sequence that the ring still has.
   *
   * @param sequence Index within the batch. The default is 0.
   * @returns The position, counting everything that has been encoded; the length where there is no token.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no such sequence.
   *
   * @example Seven tokens through a ring of four
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 4, capacity: 4, window: 4 });
   * const k = await Tensor.empty(gpu, [1, 1, 1, 4]);
   * const encoder = gpu.device.createCommandEncoder();
   * for (let token = 0; token < 7; token++) cache.append(encoder, { k, v: k });
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(cache.length(), cache.oldest(), cache.storedLen); // 7 3 4
   * gpu.destroy();
   * ```
   */
  oldest(sequence = 0): number {
    this.#checkSequence("read the oldest token of RingKvCache", sequence);
    return this.#kept[sequence].oldest;
  }

  /** Tokens ever appended to the longest sequence. */
  get maxLength(): number {
    return Math.max(...this.#kept.map(({ length }) => length));
  }

  /** Tokens of the longest sequence that are still in the cache. */
  get storedLen(): number {
    return storedTokens(this.maxLength, this.spec.capacity);
  }

  /**
   * Throws unless the ring holds every token that queries at the end of each sequence see, as of what has been encoded.
   *
   * @param queries Which tokens they look at.
   * @throws {TypeError} If `queries` is no object, or one of its sizes no number.
   * @throws {RangeError} If a size is out of range, the cache is empty, or tokens that a query would see were overwritten.
   */
  checkVisible(queries: ViewingQueries): void {
    const action = "attend to RingKvCache";
    checkQueries(action, queries);
    const { storedLen } = this;
    if (storedLen === 0) {
      throw new RangeError(
        sentence(action, "the cache is empty (append first)", { storedLen }),
      );
    }
    for (const kept of this.#kept) checkKept(action, kept, queries);
  }

  /**
   * Encodes the writing of new tokens to every sequence: one dispatch for each part of the cache. For the same tensors over
   * and over, {@linkcode RingKvCache.bindAppend} them.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tokens New keys and values, and how many of them each sequence takes.
   * @throws {TypeError} If a tensor is of another device or element type, or `lengths` is no array of numbers.
   * @throws {RangeError} If a shape does not match the cache, or tokens would be lost that the rules keep. The cache is
   * unchanged.
   *
   * @example A ragged batch: the first sequence takes two tokens, the second one
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { batch: 2, numKvHeads: 1, headDim: 4, capacity: 8 });
   * const k = await Tensor.empty(gpu, [2, 2, 1, 4]);
   * const encoder = gpu.device.createCommandEncoder();
   * cache.append(encoder, { k, v: k, lengths: [2, 1] });
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(cache.length(0), cache.length(1)); // 2 1
   * gpu.destroy();
   * ```
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
   *
   * @example
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 4, capacity: 8 });
   * const k = await Tensor.empty(gpu, [1, 1, 1, 4]);
   * const append = cache.bindAppend({ k, v: k });
   * for (let token = 0; token < 3; token++) {
   *   const encoder = gpu.device.createCommandEncoder();
   *   // ... what computes the key and the value of the next token ...
   *   append.encode(encoder);
   *   gpu.device.queue.submit([encoder.finish()]);
   * }
   * console.log(cache.length()); // 3
   * gpu.destroy();
   * ```
   */
  bindAppend(tokens: NewTokens): BoundWork {
    const buffers = newBuffers(APPEND, tokens, this);
    const { seqLen } = buffers;
    const { lengths } = tokens;
    const { batch } = this.spec;
    const counts = lengths === undefined ? undefined : countsOf(APPEND, lengths, { batch, seqLen });
    const dispatches = this.#append.bind(buffers, counts);
    return boundWork(dispatches, () => {
      this.#counted.check(APPEND);
      const before = this.#kept;
      this.#kept = before.map((kept, b) => appended(this.#rules, kept, counts?.[b] ?? seqLen));
      return () => {
        this.#kept = before;
      };
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
   *
   * @example
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const shape = { numKvHeads: 1, headDim: 2, capacity: 8 };
   * const cache = await RingKvCache.create(gpu, { ...shape, rope: {} });
   * const k = await Tensor.upload(gpu, { data: [1, 0, 1, 0], shape: [1, 2, 1, 2] });
   * const q = await Tensor.upload(gpu, { data: [1, 0], shape: [1, 1, 1, 2] });
   * const encoder = gpu.device.createCommandEncoder();
   * cache.append(encoder, { k, v: k }); // positions 0 and 1
   * cache.ropeQueries(encoder, q); // position 1
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(await q.download()); // [0.54..., 0.84...]: cosine and sine of 1
   * gpu.destroy();
   * ```
   */
  ropeQueries(target: GPUCommandEncoder | GPUComputePassEncoder, q: Tensor): void {
    this.bindRopeQueries(q).encode(target);
  }

  /**
   * Checks and binds queries once, for loops that fill them anew for each step: see {@linkcode RingKvCache.ropeQueries}.
   *
   * @param q Queries [B, S, N, headDim] (or [B, N, S, headDim]), read and written by each encoding. They and the cache must
   * outlive what is returned.
   * @returns The rotation, to be encoded after the append of the same tokens; throws a `RangeError` where the cache has
   * not as many tokens.
   * @throws {TypeError} If the cache has no rope, or the tensor is of another device or element type.
   * @throws {RangeError} If the shape does not match the cache.
   */
  bindRopeQueries(q: Tensor): BoundWork {
    const { dispatch, seqLen } = bindQueries(this.#rope, q, { lengths: this.lengthsBuffer }, this);
    return boundWork([dispatch], () => {
      const { maxLength } = this;
      if (seqLen <= maxLength) return undefined;
      const rule = "their tokens must be in the cache (append first)";
      throw new RangeError(sentence(ROPE_QUERIES, rule, { seqLen, maxLength }));
    });
  }

  /**
   * Encodes the forgetting of the newest tokens, such as speculated ones that were rejected.
   *
   * Tokens that were overwritten do not come back: a ring that has wrapped can be rolled back as far as the next token
   * still sees its whole window, which are at least the tokens of its last append.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param length Tokens that are left.
   * @param sequence Index within the batch. The default is all, each of them left with `length` tokens.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no such sequence, it is shorter, or tokens that the next one sees were overwritten.
   * The cache is unchanged.
   * @throws {GpuWorkError} If the GPU refused work on the cache: clear or restore it.
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example Two of three guesses were wrong
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 4, capacity: 8 });
   * const guesses = await Tensor.empty(gpu, [1, 3, 1, 4]);
   * const encoder = gpu.device.createCommandEncoder();
   * cache.append(encoder, { k: guesses, v: guesses });
   * cache.truncate(encoder, cache.length() - 2);
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(cache.length()); // 1
   * gpu.destroy();
   * ```
   */
  truncate(encoder: GPUCommandEncoder, length: number, sequence?: number): void {
    const action = "truncate RingKvCache";
    checkEncoder(action, encoder);
    this.#counted.check(action);
    if (sequence !== undefined) this.#checkSequence(action, sequence);
    const kept = this.#kept.map((kept, b) =>
      sequence === undefined || sequence === b ? truncated(action, this.#rules, kept, length) : kept
    );
    const { device } = this.gpu;
    const count = sequence === undefined ? this.spec.batch : 1;
    const lengths = this.#truncatedLengths.get(`${count} of ${length}`, () => {
      const label = "cache truncated lengths";
      const usage = USAGE.copySrc | USAGE.copyDst;
      const buffer = device.createBuffer({ label, size: count * 4, usage });
      device.queue.writeBuffer(buffer, 0, new Uint32Array(count).fill(length));
      return buffer;
    });
    const offset = (sequence ?? 0) * 4;
    encoder.copyBufferToBuffer(lengths, 0, this.lengthsBuffer, offset, lengths.size);
    this.#changes.encode(encoder);
    this.#counted.encoded();
    this.#kept = kept;
  }

  /**
   * Encodes the copying of one sequence over another, which then goes its own way: beams, samples of one prompt.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param pair Which sequence becomes a copy of which.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no such sequence, or both are the same. The cache is unchanged.
   * @throws {GpuWorkError} If the GPU refused work on the cache: clear or restore it.
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example Two samples of one prompt
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { batch: 2, numKvHeads: 1, headDim: 4, capacity: 8 });
   * const prompt = await Tensor.empty(gpu, [2, 5, 1, 4]);
   * const encoder = gpu.device.createCommandEncoder();
   * cache.append(encoder, { k: prompt, v: prompt, lengths: [5, 0] });
   * cache.fork(encoder, { from: 0, to: 1 });
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(cache.length(1)); // 5
   * gpu.destroy();
   * ```
   */
  fork(target: GPUCommandEncoder | GPUComputePassEncoder, pair: SequencePair): void {
    const action = "fork RingKvCache";
    checkObject(action, "pair", pair);
    const { from, to } = pair;
    this.#checkSequence(action, from);
    this.#checkSequence(action, to);
    if (from === to) {
      throw new RangeError(sentence(action, "from and to must be two sequences", { from, to }));
    }
    this.#counted.check(action);
    const { parts, lengthsBuffer: lengths, spec } = this;
    const dispatches = this.#fork.bind({ parts, lengths, spec }, { from, to });
    boundWork([...dispatches, this.#changes.dispatch]).encode(target);
    this.#changes.encoded();
    this.#kept = this.#kept.with(to, this.#kept[from]);
  }

  /**
   * Encodes the forgetting of all tokens, of every sequence or of one.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param sequence Index within the batch. The default is all.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no such sequence.
   * @throws {GpuWorkError} If the GPU refused work on the cache, and not all of it is cleared.
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { batch: 2, numKvHeads: 1, headDim: 4, capacity: 8 });
   * const k = await Tensor.empty(gpu, [2, 3, 1, 4]);
   * const encoder = gpu.device.createCommandEncoder();
   * cache.append(encoder, { k, v: k });
   * cache.clear(encoder, 1);
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(cache.length(0), cache.length(1)); // 3 0
   * gpu.destroy();
   * ```
   */
  clear(encoder: GPUCommandEncoder, sequence?: number): void {
    const action = "clear RingKvCache";
    checkEncoder(action, encoder);
    const empty = { oldest: 0, length: 0 };
    if (sequence === undefined) {
      this.gpu.throwIfLost();
      encoder.clearBuffer(this.lengthsBuffer);
      this.#changes.encode(encoder);
      refusalsOf(this.gpu.device).wrote(this.#buffers);
      this.#kept = this.#kept.map(() => empty);
    } else {
      this.#checkSequence(action, sequence);
      this.#counted.check(action);
      encoder.clearBuffer(this.lengthsBuffer, sequence * 4, 4);
      this.#changes.encode(encoder);
      this.#counted.encoded();
      this.#kept = this.#kept.with(sequence, empty);
    }
  }

  /**
   * Copies the cache to the host, as it is after all work submitted so far: options, lengths, and the rows of the slots
   * that hold tokens, closed by a checksum. Takes as much memory again on the device for as long as it lasts.
   *
   * @returns Bytes for {@linkcode RingKvCache.restore}.
   * @throws {SnapshotError} If something was encoded that has not been submitted: submit it first.
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused some work.
   *
   * @example
   * ```ts
   * import { Gpu, RingKvCache, SnapshotError, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 4, capacity: 8 });
   * const k = await Tensor.empty(gpu, [1, 3, 1, 4]);
   * const encoder = gpu.device.createCommandEncoder();
   * cache.append(encoder, { k, v: k });
   * const early = await cache.snapshot().catch((error) => error);
   * console.log(early instanceof SnapshotError); // true: encoded, and not submitted
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log((await cache.snapshot()).length); // bytes: header, three rows of K and of V, checksum
   * gpu.destroy();
   * ```
   */
  async snapshot(): Promise<Uint8Array<ArrayBuffer>> {
    return packSnapshot({ options: this.#options, ...await this.#read("snapshot RingKvCache") });
  }

  /**
   * Measures offsets and scales of channels from the tokens that the cache has, after all work submitted so far: for caches
   * of the same model that store integers. See {@linkcode calibrateKv}.
   *
   * @returns The calibration of a cache with the same heads, in f32 or any other storage.
   * @throws {TypeError} If the cache is itself calibrated or rotated: measure one that is not.
   * @throws {RangeError} If it has no token, or a number that is not finite.
   * @throws {SnapshotError} If something was encoded that has not been submitted: submit it first.
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused some work.
   *
   * @example A prompt in f32, then a cache in four bits
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const shape = { numKvHeads: 1, headDim: 4, capacity: 16, rope: {} };
   * const prompt = await RingKvCache.create(gpu, shape);
   * const k = await Tensor.upload(gpu, { data: [1, 2, 3, 90, 3, 2, 1, 91], shape: [1, 2, 1, 4] });
   * const encoder = gpu.device.createCommandEncoder();
   * prompt.append(encoder, { k, v: k });
   * gpu.device.queue.submit([encoder.finish()]);
   *
   * const kvCalibration = await prompt.calibrate();
   * const cache = await RingKvCache.create(gpu, { ...shape, kvDtype: "int4", kvCalibration });
   * console.log(cache.bytes, prompt.bytes); // 424 616
   * gpu.destroy();
   * ```
   */
  async calibrate(): Promise<KvCalibration> {
    const action = "calibrate RingKvCache";
    const { spec, storedLen } = this;
    const { kvCalibrated, kvRotation } = spec;
    if (isTransformed(spec)) {
      const rule = "its rows must be stored as they were appended (calibrate one without them)";
      throw new TypeError(sentence(action, rule, { kvCalibrated, kvRotation }));
    }
    if (storedLen === 0) {
      throw new RangeError(sentence(action, "the cache is empty (append first)", { storedLen }));
    }
    const { rows, kept } = await this.#read(action);
    return calibrateRows(rows, spec, storedOf(kept, spec.capacity));
  }

  /** The tokens that are kept and their rows, on the host; throws where these are not of the same moment. */
  async #read(action: string): Promise<Pick<Snapshot, "kept" | "rows">> {
    const { gpu, parts, spec, lengthsBuffer } = this;
    this.#counted.check(action);
    const kept = this.#kept;
    const checkRun = this.#changes.mark();
    const memory = { parts, counters: [lengthsBuffer, this.#changes.buffer], spec };
    const { rows, counters } = await readRows(gpu, memory, storedOf(kept, spec.capacity));
    checkRun(action, kept, counters);
    return { kept, rows };
  }

  /**
   * Replaces what the cache holds by what a snapshot holds, after all work submitted so far; submit what you encode before.
   *
   * @param snapshot What {@linkcode RingKvCache.snapshot} returned, of a cache with the same options.
   * @returns When the cache has it.
   * @throws {TypeError} If it is no `Uint8Array`.
   * @throws {SnapshotError} If the bytes are no snapshot, not every one of them is as it was, or the options differ. The
   * cache is unchanged.
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example Back to where it was
   * ```ts
   * import { Gpu, RingKvCache, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 4, capacity: 8 });
   * const saved = await cache.snapshot();
   * const k = await Tensor.empty(gpu, [1, 3, 1, 4]);
   * const encoder = gpu.device.createCommandEncoder();
   * cache.append(encoder, { k, v: k });
   * gpu.device.queue.submit([encoder.finish()]);
   * await cache.restore(saved);
   * console.log(cache.length()); // 0
   * gpu.destroy();
   * ```
   */
  async restore(snapshot: Uint8Array): Promise<void> {
    const opened = await openSnapshot(snapshot);
    for (const [name, value] of Object.entries(this.#options)) {
      const saved = opened.options[name as keyof FilledRingOptions];
      if (JSON.stringify(saved) === JSON.stringify(value)) continue;
      throw new SnapshotError(
        sentence(RESTORE, "the snapshot must be of a cache with the same options", {
          [`snapshot.${name}`]: saved,
          [`cache.${name}`]: value,
        }),
      );
    }
    await this.gpu.guard(RESTORE, () => {
      clearRows(this.gpu, this.parts);
      this.#fill(opened);
    });
  }

  #fill({ kept, rows }: Snapshot): void {
    const { gpu, parts, spec } = this;
    writeRows(gpu, { parts, spec }, storedOf(kept, spec.capacity), rows);
    const lengths = Uint32Array.from(kept, ({ length }) => length);
    gpu.device.queue.writeBuffer(this.lengthsBuffer, 0, lengths);
    this.#changes.settle();
    refusalsOf(gpu.device).wrote(this.#buffers);
    this.#kept = [...kept];
  }

  /** Frees the cache's memory on the GPU. */
  destroy(): void {
    this.#owned.destroy();
  }

  /** Keys, values and lengths. */
  get #buffers(): GPUBuffer[] {
    return [...tensorsOf(this.parts).map(({ buffer }) => buffer), this.lengthsBuffer];
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
}
