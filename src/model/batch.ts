import { checkFunction, checkInteger, checkObject, checkObjects, sentence } from "../base/check.ts";
import { PagedKvCache } from "../cache/paged_kv_cache.ts";
import { PagePool } from "../cache/page_pool.ts";
import type { KvCalibration } from "../cache/kv_calibration.ts";
import type { KvRotation } from "../cache/kv_transform.ts";
import { fillInPaged, type PagedKvCacheOptions } from "../cache/paged_options.ts";
import { kvCacheBytes } from "../costs/cache_bytes.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import { BatchLoop, type Running } from "./batch_loop.ts";
import { BatchSchedule } from "./batch_schedule.ts";
import { type BatchSequence, type BatchSequenceOptions, TokenQueue } from "./batch_sequence.ts";
import type { BatchSteps } from "./batch_steps.ts";
import { checkTokens } from "./check_tokens.ts";
import type { Decoder } from "./decoder.ts";
import { Model, type ModelOptions } from "./model.ts";
import { PagedPasses } from "./paged_passes.ts";
import { MOST_LIKELIEST, Sampler } from "./sampler.ts";
import { fillInSampling } from "./sampling.ts";
import { sharedModelOf } from "./shared_model.ts";
import { checkSpec } from "./check_spec.ts";
import type { DecoderSpec } from "./spec.ts";
import type { DecoderWeights } from "./weights.ts";

/** Options of {@linkcode Batch.create}. */
export interface BatchOptions extends ModelOptions {
  /** Most sequences that run together. The default is 16. */
  maxSequences?: number;
  /** Most tokens of a step, at least one for each of these sequences. The default is 64, or as many as these. */
  maxStepTokens?: number;
  /**
   * Bytes of the keys and values of all sequences. The default is what all of them need at their longest, but at most
   * 256 MiB, or what one needs.
   */
  cacheBytes?: number;
  /** Tokens of a page. The default is 16. */
  pageSize?: number;
  /** Element type of keys and values in the cache. The default is `"f32"`. */
  kvDtype?: KvDtype;
  /**
   * The calibration of each layer's cache, as {@linkcode Decoder.calibrate} measures it; for kvDtype `"int8"` and `"int4"`. The
   * default is none.
   */
  kvCalibration?: readonly KvCalibration[];
  /** `"hadamard"` rotates keys and values before they are stored as integers. The default is none. */
  kvRotation?: KvRotation;
  /** Tokens that each layer sees, where its own window is not smaller. The default is its own. */
  window?: number;
  /** First tokens that windowed layers see besides. The default is 0. */
  sinks?: number;
  /** Steps between two waits for the device: with more, tokens come later and the device waits less. The default is 8. */
  stepsPerRead?: number;
  /**
   * Called with the steps since its last call once their tokens are read and handed out, as for measuring them; an error that
   * it throws ends the sequences that run. The default is nothing.
   */
  onSteps?: (steps: BatchSteps) => void;
}

/** Options of {@linkcode Batch.ofDecoder}: those of a batch but for the upload of its weights. */
export type DecoderBatchOptions = Omit<BatchOptions, "weightDtype" | "progress">;

/** The sizes of a batch, and the options of its cache. */
type BatchSizes =
  & Record<"maxTokens" | "maxSequences" | "maxStepTokens" | "pageSize", number>
  & Record<"numPages" | "stepsPerRead", number>
  & { cache: PagedKvCacheOptions };

/** The work of a batch, in numbers. */
export interface BatchStats {
  /** Sequences that run, those that have all their tokens and were not read yet among them. */
  running: number;
  /** Sequences that wait for room. */
  waiting: number;
  /** Pages in all, and those that can be taken. */
  pages: { total: number; available: number };
  /** Tokens of prompts that went through the model, those of sequences that were set back again. */
  prompt: number;
  /** Tokens that were generated, up to the ends of their sequences. */
  generated: number;
  /** Steps. */
  steps: number;
  /** How often a sequence was set back as pages ran out. */
  setBacks: number;
  /** Time with sequences under way. */
  milliseconds: number;
}

const CREATE = "create Batch";
const ADD = "add a sequence to Batch";
const DEFAULTS = { maxSequences: 16, maxStepTokens: 64, pageSize: 16, stepsPerRead: 8 };
const MOST_DEFAULT_BYTES = 256 * 2 ** 20;

/**
 * Generates for many sequences at once, which come and go at any step (continuous batching): each has its own prompt, way of
 * choosing, seed and end, and gets the tokens that it gets alone. Their keys and values lie in pages: prompts that begin as
 * an earlier sequence did begin behind what is known of it, and when pages run out the youngest sequence is set back, to go
 * on later with the same tokens.
 *
 * Tokens are chosen and fed on the device; the host reads a few steps at a time.
 *
 * @example Two sequences of a model of random weights
 * ```ts
 * import { Gpu } from "@onehead/attention";
 * import { Batch, type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
 *
 * const spec: DecoderSpec = {
 *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 1, headDim: 8, contextLen: 64 },
 *   layers: [{ rope: {} }, { rope: {} }],
 *   norm: { kind: "rms", eps: 1e-5 },
 *   ...{ activation: "silu", isGated: true, isParallel: false },
 * };
 * const gpu = await Gpu.open();
 * const batch = await Batch.create(gpu, spec, randomWeights(spec), { maxSequences: 2 });
 * const sequences = [
 *   batch.add({ tokens: [1, 2, 3], maxTokens: 4 }),
 *   batch.add({ tokens: [4, 5], maxTokens: 6, temperature: 0.8, seed: 7, endTokens: [0] }),
 * ];
 * await Promise.all(sequences.map(async (sequence) => {
 *   for await (const tokens of sequence) console.log(tokens.map(({ token }) => token));
 *   console.log(sequence.finish); // "length" or "end"
 * }));
 * batch.destroy();
 * gpu.destroy();
 * ```
 */
export class Batch {
  /** Where it runs. */
  readonly gpu: Gpu;
  /** Its model's shape. */
  readonly spec: DecoderSpec;
  /** Tokens of the longest sequence, its prompt included: as fit the model, and the pages. */
  readonly maxTokens: number;
  /** Most sequences that run together. */
  readonly maxSequences: number;
  /** Bytes of keys and values, and of their tables, on the device. */
  readonly cacheBytes: number;
  /** Bytes of the weights on the device. */
  readonly weightBytes: number;
  readonly #owned: Owned;
  readonly #loop: BatchLoop;
  #next = 0;

  private constructor(owned: Owned, model: Model, cache: PagedKvCache, loop: BatchLoop) {
    this.gpu = model.gpu;
    this.spec = model.spec;
    const { count, size } = cache.pool.shape.pages;
    this.maxTokens = Math.min(cache.spec.capacity, count * size);
    this.maxSequences = cache.spec.batch;
    this.cacheBytes = cache.pool.bytes + cache.bytes;
    this.weightBytes = model.weightBytes;
    this.#owned = owned;
    this.#loop = loop;
  }

  /**
   * Uploads the weights, one at a time, and allocates the pages and all that steps take, so that no step is refused memory.
   *
   * @param gpu Where to run.
   * @param spec The model's shape.
   * @param weights Its weights by their uniform names.
   * @param options How many sequences, how long, and their storage.
   * @returns The batch. Destroy it with {@linkcode Batch.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, a weight has another shape, or something does not fit the device.
   * @throws {CheckpointError} If a weight is missing or cannot be read.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  static async create(
    gpu: Gpu,
    spec: DecoderSpec,
    weights: DecoderWeights,
    options: BatchOptions = {},
  ): Promise<Batch> {
    checkGpu(CREATE, gpu);
    checkObjects(CREATE, { weights, options });
    checkSpec(CREATE, spec);
    const sizes = fillIn(spec, options);
    return await Owned.make(async (owned) => {
      const model = owned.keep(await Model.create(CREATE, gpu, spec, weights, options));
      return await Batch.#over(owned, model, sizes, options);
    });
  }

  /**
   * Runs sequences through the weights of a decoder, which are not uploaded again: beside what the decoder does itself. Either
   * may be destroyed first; the weights are freed with the other.
   *
   * @param decoder A decoder.
   * @param options How many sequences, how long, and their storage. The default of `maxTokens` is the decoder's.
   * @returns The batch. Destroy it with {@linkcode Batch.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, sequences are to be longer than the decoder's, the decoder was destroyed, or
   * something does not fit the device.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   *
   * @example
   * ```ts
   * import { Gpu } from "@onehead/attention";
   * import { Batch, Decoder, type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
   *
   * const spec: DecoderSpec = {
   *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 1, headDim: 8, contextLen: 64 },
   *   layers: [{ rope: {} }],
   *   norm: { kind: "rms", eps: 1e-5 },
   *   ...{ activation: "silu", isGated: true, isParallel: false },
   * };
   * const gpu = await Gpu.open();
   * const decoder = await Decoder.create(gpu, spec, randomWeights(spec));
   * const batch = await Batch.ofDecoder(decoder, { maxSequences: 2 });
   * decoder.destroy();
   * for await (const tokens of batch.add({ tokens: [1, 2, 3], maxTokens: 4 })) console.log(tokens);
   * batch.destroy();
   * gpu.destroy();
   * ```
   */
  static async ofDecoder(decoder: Decoder, options: DecoderBatchOptions = {}): Promise<Batch> {
    checkObjects(CREATE, { decoder, options });
    const shared = sharedModelOf(CREATE, decoder);
    const { model } = shared;
    const { maxTokens = model.maxTokens } = options;
    const sizes = fillIn(model.spec, { ...options, maxTokens });
    if (sizes.maxTokens > model.maxTokens) {
      const rule = "sequences must fit the decoder (make it for more tokens)";
      const lengths = { maxTokens: sizes.maxTokens, "decoder.maxTokens": model.maxTokens };
      throw new RangeError(sentence(CREATE, rule, lengths));
    }
    return await Owned.make((owned) => {
      owned.keep(shared.use());
      return Batch.#over(owned, model, sizes, options);
    });
  }

  /** A batch over a model that is on the device; `owned` keeps what it allocates. */
  static async #over(
    owned: Owned,
    model: Model,
    sizes: BatchSizes,
    options: DecoderBatchOptions,
  ): Promise<Batch> {
    const { gpu, spec } = model;
    const { kvDtype } = options;
    const { maxSequences, maxStepTokens, pageSize, numPages, stepsPerRead } = sizes;
    const schedule = new BatchSchedule<Running>({
      ...{ maxRunning: maxSequences, maxStepTokens, stepsPerRead },
    });
    const shape = { ...poolShape(spec), kvDtype };
    const pool = owned.keep(await PagePool.create(gpu, { ...shape, numPages, pageSize }));
    const cache = owned.keep(await PagedKvCache.create(pool, sizes.cache));
    const windows = windowsOf(spec, options);
    const passes = await PagedPasses.create(model, owned, cache, {
      maxStepTokens,
      windowOf: (layer) => windows[layer],
    });
    const { logits, newest: tokens } = passes;
    const tensors = { logits, tokens, lengths: cache.layers[0].lengthsBuffer };
    const sampler = await Sampler.create(gpu, owned, tensors, {
      ...{ sequences: maxSequences, kept: stepsPerRead },
    });
    const loop = new BatchLoop(passes, sampler, schedule, options.onSteps);
    return new Batch(owned, model, cache, loop);
  }

  /** The work so far, and what is under way. */
  get stats(): BatchStats {
    return this.#loop.stats;
  }

  /**
   * Adds a sequence, which runs as soon as there is room.
   *
   * @param options Its prompt, its end, and how its tokens are chosen: by default the likeliest.
   * @returns Its new tokens.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, there is no such token, or prompt and new tokens can never fit.
   */
  add(options: BatchSequenceOptions): BatchSequence {
    checkObject(ADD, "options", options);
    const { vocabSize } = this.spec;
    const { tokens, maxTokens: most, endTokens = [], endsWith, logprobs, generated = 0 } = options;
    checkTokens(ADD, tokens, vocabSize);
    checkTokens(ADD, endTokens, vocabSize);
    checkInteger(ADD, "maxTokens", most);
    if (logprobs !== undefined) checkLogprobs(logprobs);
    if (endsWith !== undefined) checkFunction(ADD, "endsWith", endsWith);
    const { length } = tokens;
    if (length === 0 || length + most > this.maxTokens) {
      const rule = "it must have a prompt, and fit the batch (make it for more tokens)";
      const sizes = { tokens: length, maxTokens: most, "batch.maxTokens": this.maxTokens };
      throw new RangeError(sentence(ADD, rule, sizes));
    }
    checkInteger(ADD, "generated", generated, 0);
    if (generated > length) {
      const rule = "generated must be at most the tokens of the prompt";
      throw new RangeError(sentence(ADD, rule, { generated, tokens: length }));
    }
    const sampling = { ...fillInSampling(ADD, options, vocabSize), logprobs };
    const ends = new Set(endTokens);
    const queue = new TokenQueue(() => this.#loop.cancel(one));
    const one = {
      ...{
        id: this.#next,
        tokens: [...tokens],
        promptLength: length - generated,
        maxTokens: length + most,
      },
      ...{ sampling, queue, unread: 0, chosenIn: 0 },
      isEnd: (token: number) => ends.has(token) || endsWith?.(token) === true,
    };
    this.#loop.add(one);
    this.#next++;
    return queue;
  }

  /** Cancels all sequences, and frees everything once a step that runs is over. */
  destroy(): void {
    this.#loop.close(() => this.#owned.destroy());
  }
}

/** Fills in sizes; throws where one is wrong, or an option of the cache is. */
function fillIn(spec: DecoderSpec, options: BatchOptions): BatchSizes {
  const { maxTokens = spec.contextLen, kvDtype = "f32" } = options;
  const { maxSequences = DEFAULTS.maxSequences, pageSize = DEFAULTS.pageSize } = options;
  checkInteger(CREATE, "maxTokens", maxTokens);
  checkInteger(CREATE, "maxSequences", maxSequences);
  checkInteger(CREATE, "pageSize", pageSize);
  const { maxStepTokens = Math.max(DEFAULTS.maxStepTokens, maxSequences) } = options;
  const { stepsPerRead = DEFAULTS.stepsPerRead } = options;
  checkInteger(CREATE, "stepsPerRead", stepsPerRead);
  const { onSteps, window } = options;
  if (onSteps !== undefined) checkFunction(CREATE, "onSteps", onSteps);
  if (window !== undefined) checkInteger(CREATE, "window", window);
  const { numKvHeads, headDim, layers } = spec;
  const pageBytes = kvCacheBytes(
    { numLayers: layers.length, numKvHeads, headDim },
    { contextLen: pageSize, dtype: kvDtype },
  );
  const longest = Math.ceil(maxTokens / pageSize);
  const { cacheBytes = Math.max(MOST_DEFAULT_BYTES, longest * pageBytes) } = options;
  checkInteger(CREATE, "cacheBytes", cacheBytes, pageBytes);
  const numPages = Math.min(maxSequences * longest, Math.floor(cacheBytes / pageBytes));
  const windows = windowsOf(spec, options);
  const { sinks, kvCalibration, kvRotation } = options;
  const cache: PagedKvCacheOptions = {
    ...{ batch: maxSequences, capacity: maxTokens, maxSeqLen: maxStepTokens, sinks },
    // Where every layer has it, pages that have left it are given back.
    window: windows.every((window) => window === windows[0]) ? windows[0] : undefined,
    ...{ rope: layers.map(({ rope }) => rope), kvCalibration, kvRotation },
  };
  // For its checks alone: before weights are uploaded, in the name of the batch. The cache fills in its own.
  fillInPaged(CREATE, cache, { ...poolShape(spec), valueDim: headDim, kvDtype });
  return { maxTokens, maxSequences, maxStepTokens, pageSize, numPages, stepsPerRead, cache };
}

function poolShape({ layers, numKvHeads, headDim }: DecoderSpec) {
  return { layers: layers.length, numKvHeads, headDim };
}

/** The tokens that each layer sees; undefined where these are all. */
function windowsOf({ layers }: DecoderSpec, options: BatchOptions): (number | undefined)[] {
  return layers.map(({ window }) => smallest(window, options.window));
}

function smallest(own: number | undefined, asked: number | undefined): number | undefined {
  const window = Math.min(own ?? Infinity, asked ?? Infinity);
  return window === Infinity ? undefined : window;
}

function checkLogprobs(logprobs: number): void {
  checkInteger(ADD, "logprobs", logprobs, 0);
  if (logprobs <= MOST_LIKELIEST) return;
  throw new RangeError(
    sentence(ADD, `logprobs must be at most ${MOST_LIKELIEST}`, { logprobs }),
  );
}
