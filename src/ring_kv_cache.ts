import { kernels } from "../kernels/mod.ts";
import { checkChoice, checkInteger, sentence } from "./_check.ts";
import { Fork, type SequencePair } from "./_fork.ts";
import { inPass, Kernel } from "./_kernel.ts";
import { allocateParts, type KvPart, readRows, storedBytes, writeRows } from "./_kv_memory.ts";
import {
  appended,
  type KeptTokens,
  type Overflow,
  type RingRules,
  ringRules,
  storedTokens,
  truncated,
} from "./_ring.ts";
import { rowStrides, shapeIn } from "./_sizes.ts";
import { openSnapshot, packSnapshot, type Snapshot } from "./_snapshot.ts";
import type { Gpu } from "./device.ts";
import { SnapshotError } from "./errors.ts";
import type { AttentionSpec, Layout } from "./spec.ts";
import { checkDtype, checkTensor, type Dtype, type Tensor } from "./tensor.ts";

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
   * Tokens that a query sees, its own included. The default is `capacity - maxSeqLen + 1`, the most that a ring of this
   * capacity can promise.
   */
  window?: number;
  /** Most tokens of one append once the ring is full. The default is 1. */
  maxSeqLen?: number;
  /**
   * What happens when the ring is full: `"wrap"` overwrites the oldest tokens, `"error"` refuses to append. The default
   * is `"wrap"` where a window is given and `"error"` where not, so that nothing is lost unasked.
   */
  overflow?: Overflow;
  /** Element type. The default is `"f32"`. */
  dtype?: Dtype;
  /** Axes of the tensors that are appended. The default is `"BSNH"`. */
  layout?: Layout;
}

/** New keys and values. */
export interface NewTokens {
  /** Keys [B, S, numKvHeads, headDim] (or [B, numKvHeads, S, headDim] in layout `"BNSH"`). */
  k: Tensor;
  /** Values [B, S, numKvHeads, valueDim] (or [B, numKvHeads, S, valueDim]). */
  v: Tensor;
  /**
   * How many of the S tokens each sequence takes [B]: the first so many, from 0 to S. The default is all of them. Queries
   * of an attention are the last tokens of each sequence all the same: put those of a sequence that took n tokens into the
   * last n rows of q.
   */
  lengths?: readonly number[];
}

/** The options of a cache with their defaults filled in. */
type FilledOptions = RingKvCacheOptions & Required<Omit<RingKvCacheOptions, "window">>;

const ACTION = "create RingKvCache";
const WORKGROUP = 64;
/** More workgroups than this do not make a copy faster; each goes round for the rest. */
const MAX_WORKGROUPS = 1024;
const USAGE = { storage: 0x80, copySrc: 0x04, copyDst: 0x08 };
/** The part of a uniform buffer that the other values of an append leave for the counts of the sequences. */
const PARAMS_BYTES = 64;

/**
 * A cache of keys and values on the GPU: a ring of `capacity` slots per sequence, allocated once, in as many buffers as the
 * bindings of the device need.
 *
 * Token t of a sequence lies in slot `t mod capacity`. Appending writes the new tokens in place and never moves old ones,
 * so that a decode step costs the same however long the history. Lengths live on the GPU beside the tokens and follow
 * the order in which encoded work runs; {@linkcode RingKvCache.length} counts what has been encoded, so submit what you
 * encode, in order.
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
        | "dtype"
        | "layout"
        | "kvLayout"
      >
    >
    & Pick<AttentionSpec, "window">;
  /** Keys and values, [B, numKvHeads, capacity, ...] cut between heads where one storage binding cannot hold them. */
  readonly parts: readonly KvPart[];
  /** Tokens ever appended per sequence [B], u32, as of the work that the GPU has done. */
  readonly lengthsBuffer: GPUBuffer;

  readonly #options: FilledOptions;
  readonly #rules: RingRules;
  readonly #append: Kernel;
  readonly #fork: Fork;
  readonly #arrivals: GPUBuffer;
  readonly #params = new Map<number, GPUBuffer[]>();
  #kept: KeptTokens[];

  private constructor(
    gpu: Gpu,
    options: FilledOptions,
    rules: RingRules,
    made: {
      parts: KvPart[];
      append: Kernel;
      fork: Fork;
      lengths: GPUBuffer;
      arrivals: GPUBuffer;
    },
  ) {
    const { batch, numKvHeads, headDim, valueDim, capacity, dtype, layout } = options;
    const window = rules.overflow === "wrap" ? rules.window : options.window;
    this.gpu = gpu;
    this.spec = {
      ...{ batch, numKvHeads, headDim, valueDim, capacity, window, dtype, layout },
      kvLayout: "BNSH",
    };
    this.parts = made.parts;
    this.lengthsBuffer = made.lengths;
    this.#options = options;
    this.#rules = rules;
    this.#append = made.append;
    this.#fork = made.fork;
    this.#arrivals = made.arrivals;
    this.#kept = new Array(batch).fill({ oldest: 0, length: 0 });
  }

  /**
   * Allocates an empty cache and compiles what it needs.
   *
   * @param gpu Where to allocate.
   * @param options Shapes and rules.
   * @returns The cache. Destroy it with {@linkcode RingKvCache.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, `capacity < window + maxSeqLen - 1`, the device lacks the element
   * type, or the keys or values of one head of one sequence do not fit one storage binding of the device.
   * @throws {GpuWorkError} If the device refuses the memory.
   */
  static async create(gpu: Gpu, options: RingKvCacheOptions): Promise<RingKvCache> {
    const { batch = 1, numKvHeads, headDim, valueDim = headDim, capacity } = options;
    const { window, maxSeqLen = 1, dtype = "f32", layout = "BSNH" } = options;
    const sizes = { batch, numKvHeads, headDim, valueDim };
    for (const [name, value] of Object.entries(sizes)) {
      checkInteger(ACTION, name, value);
    }
    checkDtype(gpu, ACTION, dtype);
    checkChoice(ACTION, "layout", layout, ["BSNH", "BNSH"]);
    const rules = ringRules(ACTION, options);
    const { maxComputeWorkgroupsPerDimension, maxUniformBufferBindingSize } = gpu.device.limits;
    if (
      batch > maxComputeWorkgroupsPerDimension ||
      batch * 4 > maxUniformBufferBindingSize - PARAMS_BYTES
    ) {
      throw new RangeError(
        sentence(ACTION, "batch must fit one dispatch of the device (use several caches)", {
          batch,
          maxComputeWorkgroupsPerDimension,
          maxUniformBufferBindingSize,
        }),
      );
    }

    const spec = { ...sizes, capacity, dtype };
    const parts = await allocateParts(gpu, ACTION, spec);
    try {
      const [append, fork] = await Promise.all([
        Kernel.compile(gpu, "append", {
          types: { T: dtype },
          constants: {
            ...{ HEAD_DIM: headDim, VALUE_DIM: valueDim, WORKGROUP },
            COUNT_VECTORS: Math.ceil(batch / 4),
          },
          fragments: [kernels.append],
        }),
        Fork.compile(gpu, dtype),
      ]);
      const usage = USAGE.storage | USAGE.copySrc | USAGE.copyDst;
      const counters = await gpu.guard("allocate cache counters", () => ({
        lengths: gpu.device.createBuffer({ label: "cache lengths", size: batch * 4, usage }),
        arrivals: gpu.device.createBuffer({ label: "cache arrivals", size: batch * 4, usage }),
      }));
      const filled = { ...spec, window, maxSeqLen, overflow: rules.overflow, layout };
      return new RingKvCache(gpu, filled, rules, { parts, append, fork, ...counters });
    } catch (error) {
      destroyParts(parts);
      throw error;
    }
  }

  /**
   * Creates a cache and fills it with what a snapshot holds: also on another device than the snapshot was taken on, and
   * after that was lost.
   *
   * @param gpu Where to allocate.
   * @param snapshot What {@linkcode RingKvCache.snapshot} returned.
   * @returns A cache that resumes where the other was, bit for bit.
   * @throws {SnapshotError} If the bytes are no snapshot, or not every one of them is as it was.
   * @throws {RangeError} If the device cannot hold the cache, as {@linkcode RingKvCache.create}.
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
  static async restore(gpu: Gpu, snapshot: Uint8Array): Promise<RingKvCache> {
    const opened = await openSnapshot<FilledOptions>(snapshot);
    const cache = await RingKvCache.create(gpu, opened.options);
    cache.#fill(opened);
    return cache;
  }

  /** Bytes that the cache holds on the GPU: K, V and the counters. */
  get bytes(): number {
    return this.parts.reduce((sum, { k, v }) => sum + k.bytes + v.bytes, 0) +
      this.lengthsBuffer.size + this.#arrivals.size;
  }

  /**
   * Tokens ever appended to a sequence, the overwritten ones included, less those that were rolled back.
   *
   * @param sequence Index within the batch. The default is 0.
   * @returns The length, counting everything that has been encoded.
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
   * @throws {RangeError} If there is no such sequence.
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
   * Encodes the writing of new tokens to every sequence: one dispatch for each part of the cache.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tokens New keys and values, and how many of them each sequence takes.
   * @throws {TypeError} If a tensor is of another device or element type, or `lengths` is no array of numbers.
   * @throws {RangeError} If a shape does not match the cache, or tokens would be lost that the rules keep. The cache is
   * unchanged.
   */
  append(target: GPUCommandEncoder | GPUComputePassEncoder, tokens: NewTokens): void {
    const { layout, batch, numKvHeads, headDim, valueDim } = this.spec;
    const seqLen = tokens.k?.shape?.[layout === "BSNH" ? 1 : 2];
    this.#checkTensor("k", tokens.k, shapeIn(layout, batch, numKvHeads, seqLen, headDim));
    this.#checkTensor("v", tokens.v, shapeIn(layout, batch, numKvHeads, seqLen, valueDim));
    const { lengths } = tokens;
    if (lengths !== undefined) this.#checkLengths(lengths, seqLen);
    const counts = lengths ?? new Array<number>(batch).fill(seqLen);
    const kept = this.#kept.map((kept, b) => appended(this.#rules, kept, counts[b]));

    const params = lengths ? this.#makeParams(seqLen, counts) : this.#paramsFor(seqLen);
    const workgroups = Math.ceil(seqLen * numKvHeads * (headDim + valueDim) / WORKGROUP);
    const grid = [Math.min(workgroups, MAX_WORKGROUPS), batch] as const;
    inPass(target, (pass) => {
      this.parts.forEach(({ k, v }, i) => {
        const bindings = this.#append.bind({
          params: params[i],
          lengths: this.lengthsBuffer,
          arrivals: this.#arrivals,
          kNew: tokens.k.buffer,
          vNew: tokens.v.buffer,
          k: k.buffer,
          v: v.buffer,
        });
        this.#append.dispatch(pass, bindings, grid);
      });
    });
    this.#kept = kept;
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
   * @throws {RangeError} If there is no such sequence, it is shorter, or tokens that the next one sees were overwritten.
   * The cache is unchanged.
   */
  truncate(encoder: GPUCommandEncoder, length: number, sequence?: number): void {
    if (sequence !== undefined) this.#checkSequence("truncate RingKvCache", sequence);
    const kept = this.#kept.map((kept, b) =>
      sequence === undefined || sequence === b ? truncated(this.#rules, kept, length) : kept
    );
    const { device } = this.gpu;
    const lengths = device.createBuffer({
      label: "cache truncated lengths",
      size: (sequence === undefined ? this.spec.batch : 1) * 4,
      usage: USAGE.copySrc | USAGE.copyDst,
    });
    device.queue.writeBuffer(lengths, 0, new Uint32Array(lengths.size / 4).fill(length));
    const offset = (sequence ?? 0) * 4;
    encoder.copyBufferToBuffer(lengths, 0, this.lengthsBuffer, offset, lengths.size);
    this.#kept = kept;
  }

  /**
   * Encodes the copying of one sequence over another, which then goes its own way: beams, samples of one prompt.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param pair Which sequence becomes a copy of which.
   * @throws {RangeError} If there is no such sequence, or both are the same. The cache is unchanged.
   */
  fork(target: GPUCommandEncoder | GPUComputePassEncoder, pair: SequencePair): void {
    const action = "fork RingKvCache";
    const { from, to } = pair;
    this.#checkSequence(action, from);
    this.#checkSequence(action, to);
    if (from === to) {
      throw new RangeError(sentence(action, "from and to must be two sequences", { from, to }));
    }
    const { parts, lengthsBuffer: lengths, spec } = this;
    inPass(target, (pass) => this.#fork.encode(pass, { parts, lengths, spec }, pair));
    this.#kept = this.#kept.with(to, this.#kept[from]);
  }

  /**
   * Encodes the forgetting of all tokens, of every sequence or of one.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param sequence Index within the batch. The default is all.
   * @throws {RangeError} If there is no such sequence.
   */
  clear(encoder: GPUCommandEncoder, sequence?: number): void {
    const empty = { oldest: 0, length: 0 };
    if (sequence === undefined) {
      encoder.clearBuffer(this.lengthsBuffer);
      this.#kept = this.#kept.map(() => empty);
    } else {
      this.#checkSequence("clear RingKvCache", sequence);
      encoder.clearBuffer(this.lengthsBuffer, sequence * 4, 4);
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
   */
  async snapshot(): Promise<Uint8Array<ArrayBuffer>> {
    const { gpu, parts, spec, lengthsBuffer } = this;
    const kept = this.#kept;
    const memory = { parts, lengths: lengthsBuffer, spec };
    const { rows, lengths } = await readRows(gpu, memory, storedOf(kept, spec.capacity));
    if (kept.some(({ length }, b) => length !== lengths[b])) {
      throw new SnapshotError(
        sentence("snapshot RingKvCache", "encoded work has not run (submit it first)", {
          encoded: kept.map(({ length }) => length),
          run: [...lengths],
        }),
      );
    }
    return packSnapshot({ options: this.#options, kept, rows });
  }

  /**
   * Replaces what the cache holds by what a snapshot holds, after all work submitted so far; submit what you encode before.
   *
   * @param snapshot What {@linkcode RingKvCache.snapshot} returned, of a cache with the same options.
   * @returns When the cache has it.
   * @throws {SnapshotError} If the bytes are no snapshot, not every one of them is as it was, or the options differ. The
   * cache is unchanged.
   * @throws {DeviceLostError} If the device is lost.
   */
  async restore(snapshot: Uint8Array): Promise<void> {
    const opened = await openSnapshot<FilledOptions>(snapshot);
    this.gpu.throwIfFailed();
    this.#fill(opened);
  }

  #fill({ options, kept, rows }: Snapshot<FilledOptions>): void {
    const { gpu, parts, spec } = this;
    const action = "restore RingKvCache";
    for (const [name, value] of Object.entries(this.#options)) {
      const saved = options[name as keyof FilledOptions];
      if (saved === value) continue;
      throw new SnapshotError(
        sentence(action, "the snapshot must be of a cache with the same options", {
          [`snapshot.${name}`]: saved,
          [`cache.${name}`]: value,
        }),
      );
    }
    const stored = storedOf(kept, spec.capacity);
    if (rows.length !== storedBytes(spec, stored)) {
      throw new SnapshotError(
        sentence(action, "the snapshot must hold the rows of its tokens", { bytes: rows.length }),
      );
    }
    writeRows(gpu, { parts, spec }, stored, rows);
    const lengths = Uint32Array.from(kept, ({ length }) => length);
    gpu.device.queue.writeBuffer(this.lengthsBuffer, 0, lengths);
    this.#kept = [...kept];
  }

  /** Frees the cache's memory on the GPU. */
  destroy(): void {
    destroyParts(this.parts);
    this.lengthsBuffer.destroy();
    this.#arrivals.destroy();
    for (const params of this.#params.values()) {
      for (const buffer of params) buffer.destroy();
    }
  }

  /** Kept for the lengths of all appends so far: a decode loop makes none anew. */
  #paramsFor(seqLen: number): GPUBuffer[] {
    let params = this.#params.get(seqLen);
    if (!params) {
      params = this.#makeParams(seqLen, new Array(this.spec.batch).fill(seqLen));
      this.#params.set(seqLen, params);
    }
    return params;
  }

  /** For each part. */
  #makeParams(seqLen: number, lengths: readonly number[]): GPUBuffer[] {
    const { layout, batch, numKvHeads, capacity } = this.spec;
    const counts = [...lengths, ...new Array(-batch & 3).fill(0)];
    return this.parts.map(({ firstHead, numHeads }, i) =>
      this.#append.uniform({
        newStride: rowStrides(layout, numKvHeads, seqLen),
        numKvHeads,
        firstHead,
        endHead: firstHead + numHeads,
        capacity,
        advance: i === this.parts.length - 1 ? 1 : 0,
        counts,
      })
    );
  }

  #checkLengths(lengths: readonly number[], seqLen: number): void {
    const action = "append to RingKvCache";
    const { batch } = this.spec;
    if (!Array.isArray(lengths)) {
      throw new TypeError(sentence(action, "lengths must be an array", { lengths }));
    }
    if (lengths.length !== batch) {
      throw new RangeError(
        sentence(action, "lengths must have a number for each sequence", { lengths, batch }),
      );
    }
    lengths.forEach((length, b) => {
      checkInteger(action, `lengths[${b}]`, length, 0);
      if (length <= seqLen) return;
      throw new RangeError(
        sentence(action, "a sequence takes at most all new tokens", {
          sequence: b,
          length,
          seqLen,
        }),
      );
    });
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

/** Slots that hold tokens, per sequence. */
function storedOf(kept: readonly KeptTokens[], capacity: number): number[] {
  return kept.map(({ length }) => storedTokens(length, capacity));
}

function destroyParts(parts: readonly KvPart[]): void {
  for (const { k, v } of parts) {
    k.destroy();
    v.destroy();
  }
}
