import { checkChoice, checkInteger, checkObject, checkObjects, sentence } from "../base/check.ts";
import { checkCalibrations, type KvCalibration } from "../cache/kv_calibration.ts";
import type { KvRotation } from "../cache/kv_transform.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { checkTokens } from "./check_tokens.ts";
import { LookupPasses } from "./lookup_passes.ts";
import { Model, type ModelOptions } from "./model.ts";
import { promptChunks } from "./prompt_chunks.ts";
import type { RemoteKv } from "./remote_kv.ts";
import { RemotePasses } from "./remote_passes.ts";
import { RingPasses } from "./ring_passes.ts";
import { fillInSampling, type Sampling } from "./sampling.ts";
import type { SequencePasses } from "./sequence_passes.ts";
import { SharedModel, shareModel } from "./shared_model.ts";
import type { DecoderSpec } from "./spec.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import { TokenSteps } from "./token_steps.ts";
import { Turns } from "../base/turns.ts";
import type { DecoderWeights } from "./weights.ts";

/** Options of {@linkcode Decoder.create}. */
export interface DecoderOptions extends ModelOptions {
  /** Tokens that each layer sees, where its own window is not smaller. The default is its own. */
  window?: number;
  /** First tokens that windowed layers see besides. The default is 0. */
  sinks?: number;
  /** Element type of keys and values in the caches. The default is `"f32"`. */
  kvDtype?: KvDtype;
  /** Offsets and scales of the channels of each layer's cache, as {@linkcode Decoder.calibrate} measures. The default is none. */
  kvCalibration?: readonly KvCalibration[];
  /** The rotation of keys and values in the caches, as `RingKvCacheOptions.kvRotation`. The default is none. */
  kvRotation?: KvRotation;
  /** Most tokens that are fed at once; longer prompts go in chunks. The default is 64. */
  maxSeqLen?: number;
  /**
   * Empty keys and values that lie elsewhere, such as a `ShardedKv` of `@onehead/attention/cluster` has on other machines, for a
   * context that does not fit this one. They are the decoder's alone until it is destroyed, and then the caller's. Each layer
   * waits for a readback of its queries. The default is a cache on the device.
   */
  kv?: RemoteKv;
}

/** Options of {@linkcode Decoder.generate}. */
export interface GenerateOptions extends Partial<Sampling> {
  /** New tokens. */
  tokens: number;
  /** Tokens between two waits for the device: as many come at a time. The default is 16. */
  batch?: number;
  /**
   * How many of the newest tokens so far penalties count as generated, where a text goes on that was interrupted. The
   * default is 0.
   */
  generated?: number;
  /**
   * `"lookup"` drafts what comes next from where the last tokens stand in the text before, and verifies a draft in one pass of
   * eight tokens (prompt lookup decoding). The tokens are those that come without it, those drawn by a seed too, but for
   * choices so near that the last bits of logits decide; the tokens of a pass come at a time, one to eight, and the host waits
   * for each pass. It pays where texts repeat themselves or their prompts, and reading weights is what takes the time. The
   * default is none.
   */
  speculate?: "lookup";
}

const CREATE = "create Decoder";
const FEED = "feed Decoder";
const GENERATE = "generate tokens";
const TRUNCATE = "truncate Decoder";

/**
 * A decoder-only transformer whose attention is that of this library: the proof of it, and an example. Tokens stay on the
 * device from one step to the next; the host reads back the chosen tokens a few at a time.
 *
 * Calls that feed take turns: one that comes while another runs waits for it. After one that the GPU refused, `clear()`.
 *
 * @example A model of random weights
 * ```ts
 * import { Gpu } from "@onehead/attention";
 * import { Decoder, type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
 *
 * const spec: DecoderSpec = {
 *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 1, headDim: 8, contextLen: 64 },
 *   layers: [{ rope: {} }, { rope: {} }],
 *   norm: { kind: "rms", eps: 1e-5 },
 *   ...{ activation: "silu", isGated: true, isParallel: false },
 * };
 * const gpu = await Gpu.open();
 * const decoder = await Decoder.create(gpu, spec, randomWeights(spec));
 * await decoder.feed([1, 2, 3]);
 * for await (const tokens of decoder.generate({ tokens: 4 })) console.log(tokens);
 * console.log(decoder.length, decoder.cacheBytes);
 * gpu.destroy();
 * ```
 */
export class Decoder {
  readonly #model: Model;
  readonly #passes: SequencePasses;
  readonly #owned: Owned;
  readonly #maxSeqLen: number;
  /** Two calls that feed at once would mix their tokens. */
  readonly #turns = new Turns();
  /** Tokens so far, which penalties depend on. */
  readonly #tokens: number[] = [];
  /** Whether the logits are those after the last token. */
  #isAnswered = false;

  private constructor(passes: SequencePasses, owned: Owned, shared: SharedModel) {
    shareModel(this, shared);
    this.#model = passes.model;
    this.#passes = passes;
    this.#owned = owned;
    this.#maxSeqLen = passes.tokens.length;
  }

  /**
   * Uploads the weights, one at a time, and makes a cache for each layer.
   *
   * @param gpu Where to run.
   * @param spec The model's shape.
   * @param weights Its weights by their uniform names.
   * @param options Lengths, windows and storage.
   * @returns The decoder. Destroy it with {@linkcode Decoder.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, a weight has another shape, or something does not fit the device.
   * @throws {CheckpointError} If a weight is missing or cannot be read.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  static async create(
    gpu: Gpu,
    spec: DecoderSpec,
    weights: DecoderWeights,
    options: DecoderOptions = {},
  ): Promise<Decoder> {
    checkGpu(CREATE, gpu);
    checkObjects(CREATE, { options, spec });
    const { maxSeqLen: asked, window, sinks, kvDtype, kvCalibration, kvRotation } = options;
    if (asked !== undefined) checkInteger(CREATE, "maxSeqLen", asked);
    if (window !== undefined) checkInteger(CREATE, "window", window);
    if (sinks !== undefined) checkInteger(CREATE, "sinks", sinks, 0);
    if (kvCalibration !== undefined) checkCalibrations(CREATE, kvCalibration, spec.layers?.length);
    if (options.kv) checkLeftOut(options);
    return await Owned.make(async (owned) => {
      const model = await Model.create(CREATE, gpu, spec, weights, options);
      const shared = new SharedModel(model);
      owned.keep(shared.use());
      const { maxTokens } = model;
      const maxSeqLen = asked ?? Math.min(64, maxTokens);
      if (options.kv) {
        const { kv } = options;
        const passes = await RemotePasses.create(model, owned, { kv, maxSeqLen });
        return new Decoder(passes, owned, shared);
      }
      const stored = { kvDtype, kvCalibration, kvRotation };
      const rings = { maxTokens, maxSeqLen, window, sinks, ...stored };
      return new Decoder(await RingPasses.create(model, owned, rings), owned, shared);
    });
  }

  /** Where it runs. */
  get gpu(): Gpu {
    return this.#model.gpu;
  }

  /** Its shape. */
  get spec(): DecoderSpec {
    return this.#model.spec;
  }

  /** Tokens of the longest sequence. */
  get maxTokens(): number {
    return this.#model.maxTokens;
  }

  /** Tokens so far, fed and generated. */
  get length(): number {
    return this.#passes.length;
  }

  /** Bytes of all caches on the device: none where keys and values are remote. */
  get cacheBytes(): number {
    return this.#passes.cacheBytes;
  }

  /** Bytes of the weights on the device. */
  get weightBytes(): number {
    return this.#model.weightBytes;
  }

  /**
   * Feeds tokens behind those so far: a prompt. The logits of the last one stay on the device.
   *
   * @param tokens Token ids.
   * @returns When they are encoded and submitted.
   * @throws {RangeError} If there is no such token, or they are more than the decoder was made for.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async feed(tokens: readonly number[]): Promise<void> {
    const ids = this.#idsOf(tokens);
    await this.#inTurn(FEED, ids.length, async () => {
      await this.#passes.feed(FEED, this.#chunksOf(ids));
      this.#tokens.push(...ids);
    });
  }

  /**
   * Feeds tokens behind those so far, as {@linkcode Decoder.feed}, and returns the logits after each of them.
   *
   * @param tokens Token ids.
   * @returns Logits [tokens, vocabSize].
   * @throws {RangeError} If there is no such token, or they are more than the decoder was made for.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async forward(tokens: readonly number[]): Promise<Float32Array> {
    const ids = this.#idsOf(tokens);
    return await this.#inTurn(FEED, ids.length, async () => {
      const all = new Float32Array(ids.length * this.spec.vocabSize);
      let offset = 0;
      for (const chunk of this.#chunksOf(ids)) {
        const logits = await this.#passes.forward(FEED, chunk);
        all.set(await logits.download(), offset);
        offset += logits.length;
      }
      this.#tokens.push(...ids);
      return all;
    });
  }

  /**
   * Generates tokens behind those so far, each chosen and fed on the device.
   *
   * @param options Their number, and the way of choosing: by default the likeliest.
   * @returns The tokens, `batch` at a time. Those of a batch are in the caches when it comes: where one of them ends the text,
   * {@linkcode Decoder.truncate} takes back those behind it.
   * @throws {RangeError} If a value is out of range, nothing was fed before or since tokens were taken back, or the tokens are
   * more than the decoder was made for.
   * @throws {GpuWorkError} If the GPU refused some work, or a logit is not a number.
   * @throws {DeviceLostError} If the device is lost.
   */
  async *generate(options: GenerateOptions): AsyncGenerator<number[]> {
    checkObject(GENERATE, "options", options);
    const { tokens: count, batch = 16, generated: before = 0, speculate } = options;
    checkInteger(GENERATE, "tokens", count, 0);
    checkInteger(GENERATE, "batch", batch);
    checkInteger(GENERATE, "generated", before, 0);
    if (speculate !== undefined) checkSpeculation(options);
    const sampling = fillInSampling(GENERATE, options, this.spec.vocabSize);
    // All of them, before anything runs; each batch once more, as others may feed in between.
    await this.#inTurn(GENERATE, count, () => this.#checkFed());
    const generated = this.#newest(before);
    if (speculate !== undefined) return yield* this.#speculate(count, sampling, generated);
    const steps = await TokenSteps.create(this.#passes, sampling, batch);
    try {
      for (let done = 0; done < count; done += batch) {
        const size = Math.min(batch, count - done);
        yield await this.#inTurn(GENERATE, size, async () => {
          this.#checkFed();
          const tokens = await steps.run(GENERATE, size, { prompt: this.#tokens, generated });
          generated.push(...tokens);
          this.#tokens.push(...tokens);
          return tokens;
        });
      }
    } finally {
      steps.destroy();
    }
  }

  /**
   * Takes back the newest tokens, such as those that a batch has behind the end of a text: the caches then hold what the text
   * holds, and the next turn of a conversation can be fed. Generating needs something fed before, as the model's answer to
   * what is now the last token is not kept: to go on from there at once, take one more back and feed it again.
   *
   * @param length Tokens that are left.
   * @returns When it is submitted, after all calls before it.
   * @throws {TypeError} If the length is no number.
   * @throws {RangeError} If there are not as many tokens, or a layer with a window has overwritten some that the next token
   * sees: `maxSeqLen` tokens of the longest text so far can always be taken back. The decoder is unchanged.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example A conversation whose first answer ends within a batch
   * ```ts
   * import { Gpu } from "@onehead/attention";
   * import { Decoder, type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
   *
   * const spec: DecoderSpec = {
   *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 1, headDim: 8, contextLen: 64 },
   *   layers: [{ rope: {} }],
   *   norm: { kind: "rms", eps: 1e-5 },
   *   ...{ activation: "silu", isGated: true, isParallel: false },
   * };
   * const gpu = await Gpu.open();
   * const decoder = await Decoder.create(gpu, spec, randomWeights(spec));
   * await decoder.feed([1, 2, 3]);
   * for await (const tokens of decoder.generate({ tokens: 32 })) {
   *   const end = 4; // where tokens has the one that ends a text
   *   await decoder.truncate(decoder.length - tokens.length + end + 1);
   *   break;
   * }
   * console.log(decoder.length); // 8
   * await decoder.feed([4, 5]); // the next turn
   * gpu.destroy();
   * ```
   */
  async truncate(length: number): Promise<void> {
    await this.#turns.take(() => this.#truncate(length));
  }

  /**
   * Measures offsets and scales of the channels of keys and values from the tokens so far, a prompt of a few hundred: for
   * decoders of the same model whose caches store integers. See `RingKvCache.calibrate`.
   *
   * @returns The calibration of each layer, for {@linkcode DecoderOptions.kvCalibration}. It is plain data: keep it as JSON.
   * @throws {TypeError} If the caches are themselves calibrated or rotated.
   * @throws {RangeError} If there is no token, or a key or a value that is not finite.
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused some work.
   *
   * @example
   * ```ts
   * import { Gpu } from "@onehead/attention";
   * import { Decoder, type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
   *
   * const spec: DecoderSpec = {
   *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 1, headDim: 8, contextLen: 64 },
   *   layers: [{ rope: {} }, { rope: {} }],
   *   norm: { kind: "rms", eps: 1e-5 },
   *   ...{ activation: "silu", isGated: true, isParallel: false },
   * };
   * const gpu = await Gpu.open();
   * const weights = randomWeights(spec);
   * const measured = await Decoder.create(gpu, spec, weights);
   * await measured.feed([1, 2, 3, 4, 5]);
   * const kvCalibration = await measured.calibrate();
   * const decoder = await Decoder.create(gpu, spec, weights, { kvDtype: "int4", kvCalibration });
   * console.log(measured.cacheBytes, decoder.cacheBytes); // 8464 2576, of which the tables are 256
   * gpu.destroy();
   * ```
   */
  async calibrate(): Promise<KvCalibration[]> {
    return await this.#turns.take(() => this.#passes.calibrate());
  }

  /**
   * Forgets all tokens; not while a call that feeds is under way.
   *
   * @throws {DeviceLostError} If the device is lost.
   */
  clear(): void {
    this.#passes.clear();
    this.#tokens.length = 0;
    this.#isAnswered = false;
  }

  /** Frees everything but the weights, where a `Batch` still runs sequences through them. */
  destroy(): void {
    shareModel(this, undefined);
    this.#owned.destroy();
  }

  /** Generates tokens by passes over drafts, those of a pass at a time. */
  async *#speculate(
    count: number,
    sampling: Sampling,
    generated: number[],
  ): AsyncGenerator<number[]> {
    const passes = new LookupPasses(this.#passes, sampling);
    const end = generated.length + count;
    try {
      while (generated.length < end) {
        yield await this.#inTurn(GENERATE, 1, async () => {
          this.#checkFed();
          const most = { fed: this.maxTokens - this.length, kept: end - generated.length };
          const tokens = await passes.run(GENERATE, { text: this.#tokens, generated }, most);
          generated.push(...tokens);
          this.#tokens.push(...tokens);
          return tokens;
        });
      }
    } finally {
      passes.destroy();
    }
  }

  async #truncate(length: number): Promise<void> {
    const { length: before } = this;
    checkInteger(TRUNCATE, "length", length, 0);
    if (length > before) {
      throw new RangeError(
        sentence(TRUNCATE, "there must be as many tokens", { length, currentLength: before }),
      );
    }
    await this.#passes.truncate(TRUNCATE, length);
    this.#tokens.length = length;
    this.#isAnswered &&= length === before;
  }

  /** A copy that is checked: the caller may change the tokens before it is the turn of a call. */
  #idsOf(tokens: readonly number[]): readonly number[] {
    if (!Array.isArray(tokens) || tokens.length === 0) {
      throw new TypeError(sentence(FEED, "tokens must be an array of token ids", { tokens }));
    }
    const ids = [...tokens];
    checkTokens(FEED, ids, this.spec.vocabSize);
    return ids;
  }

  /** The newest tokens so far. */
  #newest(count: number): number[] {
    const { length } = this.#tokens;
    if (count <= length) return this.#tokens.slice(length - count);
    throw new RangeError(
      sentence(GENERATE, "generated must be at most the tokens so far", {
        ...{ generated: count, length },
      }),
    );
  }

  #checkFed(): void {
    if (this.#isAnswered) return;
    const { length } = this;
    const rule = length === 0
      ? "something must be fed before (a first token, such as BOS)"
      : "something must be fed after tokens were taken back (the next turn, or the last token again)";
    throw new RangeError(sentence(GENERATE, rule, { length }));
  }

  #checkRoom(action: string, tokens: number): void {
    const { length, maxTokens } = this;
    if (length + tokens <= maxTokens) return;
    throw new RangeError(
      sentence(action, "the sequence must fit the decoder (make it for more tokens)", {
        length,
        tokens,
        maxTokens,
      }),
    );
  }

  /** Runs a call that feeds tokens when it is its turn, if there is room for them. */
  #inTurn<Value>(
    action: string,
    tokens: number,
    run: () => Value | Promise<Value>,
  ): Promise<Value> {
    return this.#turns.take(async () => {
      this.#checkRoom(action, tokens);
      try {
        const value = await run();
        this.#isAnswered = true;
        return value;
      } catch (error) {
        this.#isAnswered = false;
        throw error;
      }
    });
  }

  #chunksOf(tokens: readonly number[]): (readonly number[])[] {
    return promptChunks(tokens, this.#maxSeqLen);
  }
}

/** Throws if something is asked for of caches on the device, where there are none. */
function checkLeftOut(options: DecoderOptions): void {
  for (const name of ["window", "sinks", "kvDtype", "kvCalibration", "kvRotation"] as const) {
    if (options[name] === undefined) continue;
    throw new RangeError(
      sentence(CREATE, `${name} is decided by whoever keeps kv (leave it out)`, {
        [name]: options[name],
      }),
    );
  }
}

/** Throws unless there is such a speculation, which waits for each pass by itself. */
function checkSpeculation({ speculate, batch }: GenerateOptions): void {
  checkChoice(GENERATE, "speculate", speculate, ["lookup"]);
  if (batch === undefined) return;
  const rule = "batch goes without speculate (the tokens of a pass come at a time)";
  throw new RangeError(sentence(GENERATE, rule, { batch, speculate }));
}
