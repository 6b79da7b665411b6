import {
  type Gpu,
  GpuWorkError,
  type KvDtype,
  type RingKvCacheOptions,
  Tensor,
} from "../../mod.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { checkChoice, checkInteger, sentence } from "../base/check.ts";
import { Linear } from "../layer/linear.ts";
import type { Norm } from "../layer/norm.ts";
import { once } from "../base/once.ts";
import { KV_DTYPES } from "../tensor/dtype.ts";
import { Block } from "./block.ts";
import { Embedding } from "./embedding.ts";
import { bindSampler, checkSampling, type Sampling } from "./sampler.ts";
import { checkTokens } from "./check_tokens.ts";
import { Uploads } from "./uploads.ts";
import type { DecoderLayer, DecoderSpec } from "./spec.ts";
import type { DecoderWeights } from "./weights.ts";

/** Options of {@linkcode Decoder.create}. */
export interface DecoderOptions {
  /** Tokens of the longest sequence. The default is the spec's `contextLen`. */
  maxTokens?: number;
  /** Tokens that each layer sees, where its own window is not smaller. The default is its own. */
  window?: number;
  /** First tokens that windowed layers see besides. The default is 0. */
  sinks?: number;
  /** Element type of keys and values in the caches. The default is `"f32"`. */
  kvDtype?: KvDtype;
  /** Element type of matrices; integers have a step for each output. The default is `"f32"`. */
  weightDtype?: KvDtype;
  /** Most tokens that are fed at once; longer prompts go in pieces. The default is 64. */
  maxSeqLen?: number;
  /** Told how many layers are uploaded. */
  progress?: (done: number, of: number) => void;
}

/** Options of {@linkcode Decoder.generate}. */
export interface GenerateOptions extends Partial<Sampling> {
  /** New tokens. */
  tokens: number;
  /** Tokens between two waits for the device, which are also those that come at a time. The default is 16. */
  batch?: number;
}

/** All layers over so many tokens. */
interface Pass {
  /** The residual stream [1, S, dim]. */
  h: Tensor;
  /** From `tokens` to `h`. */
  body: BoundWork;
}

/** From a residual stream to logits [S, vocabSize]. */
interface Head {
  logits: Tensor;
  work: BoundWork;
}

const CREATE = "create Decoder";
const FEED = "feed Decoder";
const GENERATE = "generate tokens";
/** A prompt goes in pieces of `maxSeqLen`, then of powers of this, so that few numbers of tokens are compiled. */
const PIECE_BASE = 8;

/**
 * A decoder-only transformer whose attention is that of this library: the proof of it, and an example. Tokens stay on the
 * device from one step to the next; the host reads back what was chosen a few tokens at a time.
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
  /** Where it runs. */
  readonly gpu: Gpu;
  /** Its shape. */
  readonly spec: DecoderSpec;
  /** Tokens of the longest sequence. */
  readonly maxTokens: number;

  readonly #uploads: Uploads;
  readonly #maxSeqLen: number;
  readonly #embedding: Embedding;
  readonly #blocks: readonly Block[];
  readonly #finalNorm: Norm;
  readonly #classifier: Linear;
  /** What is fed: u32 [maxSeqLen]. */
  readonly #tokens: Tensor;
  /** What the model makes of the last token: [1, vocabSize]. */
  readonly #logits: Tensor;
  readonly #weightBytes: number;
  readonly #passes = new Map<number, Promise<Pass>>();
  readonly #heads = new Map<number, Promise<Head>>();
  /** The last of the calls that feed. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    gpu: Gpu,
    spec: DecoderSpec,
    uploads: Uploads,
    made: {
      maxTokens: number;
      maxSeqLen: number;
      embedding: Embedding;
      blocks: readonly Block[];
      finalNorm: Norm;
      classifier: Linear;
      tokens: Tensor;
      logits: Tensor;
      otherBytes: number;
    },
  ) {
    this.gpu = gpu;
    this.spec = spec;
    this.maxTokens = made.maxTokens;
    this.#uploads = uploads;
    this.#maxSeqLen = made.maxSeqLen;
    this.#embedding = made.embedding;
    this.#blocks = made.blocks;
    this.#finalNorm = made.finalNorm;
    this.#classifier = made.classifier;
    this.#tokens = made.tokens;
    this.#logits = made.logits;
    this.#weightBytes = made.blocks.reduce(
      (sum, block) => sum + block.weightBytes,
      made.otherBytes,
    );
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
    const { maxTokens = spec.contextLen, maxSeqLen = Math.min(64, maxTokens) } = options;
    const { weightDtype = "f32", progress } = options;
    checkInteger(CREATE, "maxTokens", maxTokens);
    checkInteger(CREATE, "maxSeqLen", maxSeqLen);
    checkInteger(CREATE, "layers", spec.layers.length);
    if (weights.has("positions.weight") && maxTokens > spec.contextLen) {
      throw new RangeError(
        sentence(CREATE, "learned positions end with contextLen", {
          maxTokens,
          contextLen: spec.contextLen,
        }),
      );
    }
    checkChoice(CREATE, "weightDtype", weightDtype, KV_DTYPES);
    const uploads = new Uploads(gpu, spec, weights);
    try {
      const w = await uploads.matrix(
        "embedding",
        await uploads.read("embedding.weight"),
        weightDtype,
      );
      const learned = await uploads.optional("positions.weight");
      const positions = learned && await uploads.tensor("positions", learned);
      const blocks: Block[] = [];
      for (const layer of spec.layers) {
        const cache = cacheOptions(layer, { ...options, maxTokens, maxSeqLen });
        const name = `layers.${blocks.length}`;
        blocks.push(await Block.create(gpu, spec, uploads, { name, cache, weightDtype }));
        progress?.(blocks.length, spec.layers.length);
      }
      const own = await uploads.optional("classifier.weight");
      const classifier = own ? await uploads.matrix("classifier", own, weightDtype) : w;
      const finalNorm = await uploads.norm("finalNorm", spec.norm);
      const tokens = uploads.keep(
        await Tensor.empty(gpu, [maxSeqLen], { dtype: "u32", label: "tokens" }),
      );
      const logits = uploads.keep(
        await Tensor.empty(gpu, [1, spec.vocabSize], { label: "logits" }),
      );
      return new Decoder(gpu, spec, uploads, {
        ...{ maxTokens, maxSeqLen, blocks, finalNorm, tokens, logits },
        embedding: uploads.keep(
          await Embedding.create(gpu, { w, positions }, spec.embeddingScale ?? 1),
        ),
        classifier: uploads.keep(new Linear(gpu, "classifier", { w: classifier })),
        otherBytes: w.bytes + (positions?.bytes ?? 0) + (own ? classifier.bytes : 0) +
          finalNorm.bytes,
      });
    } catch (error) {
      uploads.destroy();
      throw error;
    }
  }

  /** Tokens so far, fed and generated. */
  get length(): number {
    return this.#blocks[0].attention.cache.length();
  }

  /** Bytes of all caches on the device. */
  get cacheBytes(): number {
    return this.#blocks.reduce((sum, { attention }) => sum + attention.cache.bytes, 0);
  }

  /** Bytes of the weights on the device. */
  get weightBytes(): number {
    return this.#weightBytes;
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
    this.#checkTokens(tokens);
    await this.#inTurn(FEED, tokens.length, async () => {
      const last = await this.#passOf(1);
      const head = await this.#headOf(1);
      const pieces = piecesOf(tokens, this.#maxSeqLen);
      const passes = await Promise.all(pieces.map(({ length }) => this.#passOf(length)));
      // One wait for all pieces.
      await this.gpu.guard(FEED, () => {
        passes.forEach(({ h, body }, i) =>
          this.#submit(pieces[i], (encoder) => {
            body.encode(encoder);
            if (i < pieces.length - 1) return;
            copyLastRow(encoder, h, last.h);
            head.work.encode(encoder);
          })
        );
      });
    });
  }

  /**
   * Feeds tokens behind those so far, as {@linkcode Decoder.feed}, and returns what the model makes of each of them.
   *
   * @param tokens Token ids.
   * @returns Logits [tokens, vocabSize].
   * @throws {RangeError} If there is no such token, or they are more than the decoder was made for.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async forward(tokens: readonly number[]): Promise<Float32Array> {
    this.#checkTokens(tokens);
    return await this.#inTurn(FEED, tokens.length, async () => {
      const all = new Float32Array(tokens.length * this.spec.vocabSize);
      let offset = 0;
      for (const piece of piecesOf(tokens, this.#maxSeqLen)) {
        const { body } = await this.#passOf(piece.length);
        const { logits, work } = await this.#headOf(piece.length);
        await this.gpu.guard(FEED, () =>
          this.#submit(piece, (encoder) => {
            body.encode(encoder);
            work.encode(encoder);
            copyLastRow(encoder, logits, this.#logits);
          }));
        all.set(await logits.download(), offset);
        offset += logits.length;
      }
      return all;
    });
  }

  /**
   * Generates tokens behind those so far, each chosen and fed on the device.
   *
   * @param options How many, and how they are chosen: by default the likeliest.
   * @returns The tokens, `batch` at a time. Those of a batch are in the caches when it comes.
   * @throws {RangeError} If a value is out of range, nothing was fed before, or the tokens are more than the decoder was made
   * for.
   * @throws {GpuWorkError} If the GPU refused some work, or a logit is not a number.
   * @throws {DeviceLostError} If the device is lost.
   */
  async *generate(options: GenerateOptions): AsyncGenerator<number[]> {
    const { tokens: count, temperature = 0, topP = 1, seed = 0, batch = 16 } = options;
    checkInteger(GENERATE, "tokens", count, 0);
    checkInteger(GENERATE, "batch", batch);
    checkSampling(GENERATE, { temperature, topP, seed });
    // All of them, before anything runs; each batch once more, as others may feed in between.
    await this.#inTurn(GENERATE, count, () => this.#checkFed());
    const { gpu } = this;
    const { body } = await this.#passOf(1);
    const { logits, work } = await this.#headOf(1);
    const made: { destroy(): void }[] = [];
    const keep = <Made extends { destroy(): void }>(one: Made): Made => (made.push(one), one);
    try {
      const chosen = keep(
        await Tensor.empty(gpu, [1 + batch], { dtype: "u32", label: "chosen" }),
      );
      const lengths = this.#blocks[0].attention.cache.lengthsBuffer;
      const buffers = { logits, tokens: this.#tokens, chosen, lengths };
      const choose = keep(await bindSampler(gpu, buffers, { temperature, topP, seed }));
      const step = inSequence([choose.work, body, work]);
      for (let done = 0; done < count; done += batch) {
        const steps = Math.min(batch, count - done);
        yield await this.#inTurn(GENERATE, steps, () => this.#run(step, steps, chosen));
      }
    } finally {
      for (const one of made) one.destroy();
    }
  }

  /** Forgets all tokens; not while a call that feeds is under way. */
  clear(): void {
    const { device } = this.gpu;
    const encoder = device.createCommandEncoder();
    for (const { attention } of this.#blocks) attention.cache.clear(encoder);
    device.queue.submit([encoder.finish()]);
  }

  /** Frees everything. */
  destroy(): void {
    this.#uploads.destroy();
  }

  #checkTokens(tokens: readonly number[]): void {
    if (!Array.isArray(tokens) || tokens.length === 0) {
      throw new TypeError(sentence(FEED, "tokens must be an array of token ids", { tokens }));
    }
    checkTokens(FEED, tokens, this.spec.vocabSize);
  }

  #checkFed(): void {
    const { length } = this;
    if (length > 0) return;
    throw new RangeError(
      sentence(GENERATE, "something must be fed before (a first token, such as BOS)", { length }),
    );
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

  /** Feeds so many tokens when all calls before are done, as two at once would mix theirs; where there is room for them. */
  #inTurn<Value>(
    action: string,
    tokens: number,
    run: () => Value | Promise<Value>,
  ): Promise<Value> {
    const turn = this.#turn.then(() => {
      this.#checkRoom(action, tokens);
      return run();
    });
    this.#turn = turn.then(() => {}, () => {});
    return turn;
  }

  /** Runs steps that choose and feed a token each, and returns what was chosen. */
  async #run(step: BoundWork, steps: number, chosen: Tensor): Promise<number[]> {
    this.#checkFed();
    const { gpu } = this;
    await gpu.guard(GENERATE, () => {
      gpu.device.queue.writeBuffer(chosen.buffer, 0, new Uint32Array(1));
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < steps; i++) step.encode(pass);
      pass.end();
      gpu.device.queue.submit([encoder.finish()]);
    });
    const ids = [...await chosen.download()].slice(1, 1 + steps);
    const bad = ids.findIndex((id) => id >= this.spec.vocabSize);
    if (bad < 0) return ids;
    throw new GpuWorkError(
      sentence(GENERATE, "a logit is not a number (check the weights)", {
        position: this.length - steps + bad,
      }),
    );
  }

  #submit(tokens: readonly number[], encode: (encoder: GPUCommandEncoder) => void): void {
    const { device } = this.gpu;
    device.queue.writeBuffer(this.#tokens.buffer, 0, new Uint32Array(tokens));
    const encoder = device.createCommandEncoder();
    encode(encoder);
    device.queue.submit([encoder.finish()]);
  }

  #passOf(seqLen: number): Promise<Pass> {
    return once(this.#passes, seqLen, async () => {
      const { dim, hiddenDim } = this.spec;
      const tensor = async (label: string, width: number) =>
        this.#uploads.keep(await Tensor.empty(this.gpu, [1, seqLen, width], { label }));
      const h = await tensor("h", dim);
      const tensors = {
        h,
        attentionInput: await tensor("attention input", dim),
        mlpInput: await tensor("mlp input", dim),
        inside: await tensor("inside", hiddenDim),
        addend: await tensor("addend", dim),
      };
      const { lengthsBuffer } = this.#blocks[0].attention.cache;
      const works = [this.#embedding.bind(this.#tokens, h, lengthsBuffer)];
      for (const block of this.#blocks) works.push(await block.bind(tensors));
      return { h, body: inSequence(works) };
    });
  }

  #headOf(seqLen: number): Promise<Head> {
    return once(this.#heads, seqLen, async () => {
      const { gpu } = this;
      const { dim, vocabSize } = this.spec;
      const { h } = await this.#passOf(seqLen);
      const normed = this.#uploads.keep(
        await Tensor.empty(gpu, [seqLen, dim], { label: "final norm" }),
      );
      const logits = seqLen === 1 ? this.#logits : this.#uploads.keep(
        await Tensor.empty(gpu, [seqLen, vocabSize], { label: "logits" }),
      );
      const work = inSequence([
        this.#finalNorm.bind({ x: h.buffer, y: normed.buffer }, seqLen),
        await this.#classifier.bind({ x: normed.buffer, y: logits.buffer }, seqLen),
      ]);
      return { logits, work };
    });
  }
}

/** Copies the last row of `from` to `to`, a row of f32, unless they are the same. */
function copyLastRow(encoder: GPUCommandEncoder, from: Tensor, to: Tensor): void {
  if (from === to) return;
  encoder.copyBufferToBuffer(from.buffer, from.bytes - to.bytes, to.buffer, 0, to.bytes);
}

/** A windowed layer keeps what it sees, and what comes in at once, where that is less than all tokens. */
function cacheOptions(
  { rope, window: own = Infinity }: DecoderLayer,
  options: DecoderOptions & { maxTokens: number; maxSeqLen: number },
): Omit<RingKvCacheOptions, "numKvHeads" | "headDim"> {
  const { maxTokens, maxSeqLen, sinks = 0, kvDtype } = options;
  const window = Math.min(own, options.window ?? Infinity);
  if (sinks + window >= maxTokens) return { capacity: maxTokens, kvDtype, rope };
  const capacity = sinks + window + maxSeqLen - 1;
  return capacity < maxTokens
    ? { capacity, window, sinks, maxSeqLen, kvDtype, rope }
    : { capacity: maxTokens, window, sinks, overflow: "error", kvDtype, rope };
}

/** The tokens in pieces of `most`, then of powers of {@linkcode PIECE_BASE}. */
function piecesOf(tokens: readonly number[], most: number): (readonly number[])[] {
  const pieces = [];
  let start = 0;
  for (let size = most; start < tokens.length;) {
    if (tokens.length - start < size) {
      size = PIECE_BASE ** Math.floor(Math.log(tokens.length - start) / Math.log(PIECE_BASE));
    }
    pieces.push(tokens.slice(start, start + size));
    start += size;
  }
  return pieces;
}
