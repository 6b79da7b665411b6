// @ts-check
/// <reference lib="dom" />
/** The model that the page runs: of the visitor's files, or of random weights; with all its K/V heads, or fewer by merging. */
import { bytesInBlob, openCheckpoint, openTokenizer } from "@onehead/attention/checkpoints";
import {
  Decoder,
  drawCalibration,
  mergeDecoder,
  randomWeights,
  TextStream,
} from "@onehead/attention/decoder";

/** @import { Gpu } from "@onehead/attention" */
/** @import { DecoderSpec, DecoderWeights, Tokenizer } from "@onehead/attention/decoder" */
/** @typedef {Pick<Tokenizer, "encode" | "decode" | "endOfText">} PageTokenizer */
/** @typedef {{ spec: DecoderSpec, weights: DecoderWeights }} Source */
/** @typedef {(said: string) => void} Say */

/** What the model draws to be merged by: enough for a page's patience. */
const CALIBRATION = { sequences: 8, mostTokens: 128, rounds: 2 };
/** The longest text of the page: caches are made for it. */
const MOST_TOKENS = 2048;
/** Tokens at a time: as often the page writes. */
const BATCH = 4;
const LETTERS = " etaoinshrdlucmfwypvbgkjqxz.,'";

export class PageModel {
  /** @type {Map<number, Source>} */
  #sources = new Map();
  #makeSource;

  /**
   * @param {string} name
   * @param {DecoderSpec} spec
   * @param {PageTokenizer} tokenizer
   * @param {(kvHeads: number, gpu: Gpu, say: Say) => Source | Promise<Source>} makeSource The model with so many K/V heads.
   */
  constructor(name, spec, tokenizer, makeSource) {
    this.name = name;
    this.spec = spec;
    this.tokenizer = tokenizer;
    this.#makeSource = makeSource;
  }

  /** A small model that nobody trained: what it writes is nonsense, at the speed of a model that writes sense. */
  static random() {
    /** @type {DecoderSpec} */
    const spec = {
      ...{ vocabSize: LETTERS.length, dim: 256, hiddenDim: 688, contextLen: MOST_TOKENS },
      ...{ numHeads: 8, numKvHeads: 8, headDim: 32 },
      layers: Array.from({ length: 4 }, () => ({ rope: {} })),
      norm: { kind: "rms", eps: 1e-5 },
      ...{ activation: "silu", isGated: true, isParallel: false },
    };
    const tokenizer = {
      endOfText: [],
      /**
       * A text of nothing begins with a space.
       *
       * @param {string} text
       */
      encode: (text) =>
        Array.from(text.toLowerCase() || " ", (c) => Math.max(0, LETTERS.indexOf(c))),
      /** @param {readonly number[]} tokens */
      decode: (tokens) => tokens.map((token) => LETTERS[token]).join(""),
    };
    return new PageModel("Random weights", spec, tokenizer, (numKvHeads) => {
      const source = { ...spec, numKvHeads };
      return { spec: source, weights: randomWeights(source) };
    });
  }

  /**
   * Opens the files that a visitor chose: the larger of two .bin files is the model of llama2.c, the other its tokenizer.
   *
   * @param {readonly File[]} files
   * @param {Say} warn
   */
  static async fromFiles(files, warn) {
    const sources = files.map((file) => bytesInBlob(file.name, file));
    const bins = sources.filter(({ name }) => name.endsWith(".bin"))
      .toSorted((a, b) => b.size - a.size);
    const weights = sources.find(({ name }) => name.endsWith(".safetensors"));
    const [model, beside] = weights ? [sources, sources] : [bins.slice(0, 1), bins.slice(1)];
    const checkpoint = await openCheckpoint(model, { warn });
    const tokenizer = await openTokenizer(beside, checkpoint, { warn });
    const { spec } = checkpoint;
    return new PageModel(
      (weights ?? bins[0]).name,
      spec,
      tokenizer,
      (kvHeads, gpu, say) =>
        kvHeads === spec.numKvHeads
          ? checkpoint
          : merge(gpu, checkpoint, { kvHeads, tokenizer }, say),
    );
  }

  /** The numbers of K/V heads that the model may have: its own, and those that divide it. */
  get kvHeads() {
    const { numKvHeads } = this.spec;
    return Array.from({ length: numKvHeads }, (_, i) => numKvHeads - i)
      .filter((heads) => numKvHeads % heads === 0);
  }

  /**
   * Writes on.
   *
   * @param {Gpu} gpu
   * @param {{ kvHeads: number, prompt: string, tokens: number, temperature: number }} asked
   * @param {AbortSignal} signal Ends the text, and the merging before it.
   * @param {Say} tell Told what is being done.
   * @returns The text so far, the tokens of it that are new and the milliseconds that these took, as they come.
   */
  async *write(gpu, { kvHeads, prompt, tokens, temperature }, signal, tell) {
    /** @param {string} said */
    const say = (said) => {
      signal.throwIfAborted();
      tell(said);
    };
    const maxTokens = Math.min(this.spec.contextLen, MOST_TOKENS);
    const fed = feedOf(this.tokenizer, prompt, maxTokens);
    const source = this.#sources.get(kvHeads) ?? await this.#makeSource(kvHeads, gpu, say);
    this.#sources.set(kvHeads, source);
    const { spec, weights } = source;
    say("Uploading weights, compiling …");
    const decoder = await Decoder.create(gpu, spec, weights, { maxTokens });
    try {
      await decoder.feed(fed);
      say("Writing …");
      const stream = new TextStream(this.tokenizer, fed);
      const most = Math.min(tokens, maxTokens - fed.length);
      const seed = crypto.getRandomValues(new Uint32Array(1))[0];
      let text = prompt;
      let count = 0;
      const start = performance.now();
      for await (
        const batch of decoder.generate({ tokens: most, temperature, seed, batch: BATCH })
      ) {
        const end = batch.findIndex((token) => this.tokenizer.endOfText.includes(token));
        const read = end < 0 ? batch : batch.slice(0, end);
        text += stream.push(read);
        count += read.length;
        yield { text, count, length: fed.length + count, ms: performance.now() - start };
        if (end >= 0 || signal.aborted) break;
      }
    } finally {
      decoder.destroy();
    }
  }
}

/**
 * Gives a model fewer K/V heads, by texts that it draws itself.
 *
 * @param {Gpu} gpu
 * @param {Source} source
 * @param {{ kvHeads: number, tokenizer: PageTokenizer }} options
 * @param {Say} say
 */
async function merge(gpu, source, { kvHeads, tokenizer }, say) {
  const { sequences, mostTokens, rounds } = CALIBRATION;
  /** @type {(work: string) => (done: number, of: number) => void} */
  const telling = (work) => (done, of) => say(`${work}: ${done} of ${of} …`);
  const calibration = await drawCalibration(gpu, source, {
    ...{ begin: beginOf(tokenizer), ends: tokenizer.endOfText, sequences },
    seqLen: Math.min(mostTokens, source.spec.contextLen),
    progress: telling("The model draws texts to be merged by"),
  });
  const progress = telling("Merging heads, layer by layer");
  return await mergeDecoder(gpu, source, { kvHeads, calibration, rounds, progress });
}

/**
 * The tokens that a text goes on from.
 *
 * @param {PageTokenizer} tokenizer
 * @param {string} prompt
 * @param {number} maxTokens Tokens of the context.
 * @throws {RangeError} If there are none, or they leave no room for another one.
 */
function feedOf(tokenizer, prompt, maxTokens) {
  const encoded = tokenizer.encode(prompt);
  const fed = encoded.length > 0 ? encoded : beginOf(tokenizer);
  if (fed.length === 0) {
    throw new RangeError("A prompt is needed: the tokenizer has no token that begins a text.");
  }
  if (fed.length >= maxTokens) {
    throw new RangeError(
      `The prompt fills the context: it has ${fed.length} tokens of at most ${maxTokens - 1}.`,
    );
  }
  return fed;
}

/**
 * The tokens that begin a text: those before any prompt, or else the end of the text before.
 *
 * @param {PageTokenizer} tokenizer
 */
function beginOf(tokenizer) {
  const before = tokenizer.encode("");
  return before.length > 0 ? before : tokenizer.endOfText.slice(0, 1);
}
