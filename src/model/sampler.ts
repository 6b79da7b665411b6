/** From logits to the next tokens of many sequences, on the device. */
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type BoundWork, boundWork, type Dispatch } from "../gpu/bound_work.ts";
import { once } from "../base/once.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import { Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { loopRounds } from "../gpu/profile.ts";
import { isAdjusted, type Sampling } from "./sampling.ts";
import * as wgsl from "../../kernels/mod.ts";

/** The tensors of a choice, all of them the caller's. */
export interface SamplerTensors {
  /** f32 [rows, vocabSize] */
  logits: Tensor;
  /** u32 [sequences or more]: the next token of each sequence is written here. */
  tokens: Tensor;
  /** u32 [sequences]: tokens so far, which the draws depend on beside the seed. */
  lengths: GPUBuffer;
}

/** The sizes of a choice. */
export interface SamplerShape {
  /** Sequences, each with a sampling of its own. */
  sequences: number;
  /** Newest tokens of a sequence that are kept for the host. */
  kept: number;
}

/** The sequence of a row whose logits are not looked at. */
export const NO_SEQUENCE = 2 ** 32 - 1;

/** Most of the likeliest tokens whose log-probabilities come with a token. */
export const MOST_LIKELIEST = 20;

/** A token and its log-probability. */
export interface TokenLogprob {
  /** The token. */
  token: number;
  /** The natural logarithm of its share. */
  logprob: number;
}

/** Fewer lanes are faster where a barrier is dear. */
const WORKGROUP = { software: 8, gpu: 256 };
/** Times that a kernel goes through the vocabulary. */
const LOOPS = { argmax: 1, sample: 34, logprobs: MOST_LIKELIEST + 2 };
/** Invocations of kernels that look at a number alone. */
const WIDE = 64;
const LARGEST_F32 = 3.4028234663852886e38;
/** The place of the chosen token, and those of the likeliest. */
const LOGPROBS = 1 + MOST_LIKELIEST;
/** Words of a sampling. */
const SAMPLING_WORDS = 10;
/** The mark of a token of the prompt among counts. */
const IN_PROMPT = 2 ** 31;

/** Looks for the likeliest token of a row, and knows the samplings. */
function rowPiece(vocabSize: number, lanes: number): WgslPiece {
  return {
    constants: { VOCAB: vocabSize, WORKGROUP: lanes },
    fragments: [wgsl.likeliest, wgsl.sampling],
  };
}

/** The module that chooses the likeliest token, or draws one. */
export function chooseModule(
  kind: "argmax" | "sample",
  vocabSize: number,
  lanes: number,
): WgslModule {
  const fragments = [wgsl.kept, wgsl.choose, wgsl[kind]];
  return join(kind, rowPiece(vocabSize, lanes), { fragments });
}

/** The module of log-probabilities. */
export function logprobsModule(vocabSize: number, lanes: number): WgslModule {
  return join("logprobs", rowPiece(vocabSize, lanes), {
    constants: { LOGPROBS },
    fragments: [wgsl.kept, wgsl.logprobs],
  });
}

/** The module of penalties and biases. */
export function adjustModule(vocabSize: number): WgslModule {
  return join("adjust", {
    constants: { VOCAB: vocabSize, WORKGROUP: WIDE },
    fragments: [wgsl.sampling, wgsl.tokenCounts, wgsl.adjust],
  });
}

/** The module that counts generated tokens. */
export function countModule(vocabSize: number): WgslModule {
  return join("count", {
    constants: { VOCAB: vocabSize, WORKGROUP: WIDE },
    fragments: [wgsl.sampling, wgsl.count],
  });
}

/** Penalties and biases on the device: made when a sequence first asks for some. */
interface Adjustments {
  /** u32 [sequences, vocabSize] */
  counts: Tensor;
  /** f32 [sequences, vocabSize] */
  biases: Tensor;
  /** f32 [rows, vocabSize] */
  adjusted: Tensor;
}

/** How the tokens of a sequence are chosen, and what else the host reads of them. */
export interface SequenceSampling extends Sampling {
  /** The number of likeliest tokens whose log-probabilities come with each token's; absent where none are wanted. */
  logprobs?: number;
}

/** Reads the newest tokens of sequences. */
export interface ChosenTokens {
  /** The token at a position; not below vocabSize where a logit was not a number. */
  token(sequence: number, position: number): number;
  /** Its log-probability, and those of so many of the likeliest tokens. */
  logprobs(
    sequence: number,
    position: number,
    likeliest: number,
  ): { logprob: number; likeliest: TokenLogprob[] };
}

/** Samplings of sequences on the device, and the kernels that choose by them. */
export class Sampler {
  readonly #gpu: Gpu;
  readonly #owned: Owned;
  readonly #tensors: SamplerTensors;
  readonly #shape: SamplerShape;
  readonly #samplings: Tensor;
  readonly #rows: Tensor;
  readonly #chosen: Tensor;
  readonly #current = new Map<number, SequenceSampling>();
  readonly #params = new Map<Kernel, GPUBuffer>();
  readonly #works = new Map<string, Promise<BoundWork>>();
  readonly #made = new Map<string, Promise<Tensor>>();

  private constructor(
    gpu: Gpu,
    owned: Owned,
    tensors: SamplerTensors,
    shape: SamplerShape,
    made: Record<"samplings" | "rows" | "chosen", Tensor>,
  ) {
    this.#gpu = gpu;
    this.#owned = owned;
    this.#tensors = tensors;
    this.#shape = shape;
    this.#samplings = made.samplings;
    this.#rows = made.rows;
    this.#chosen = made.chosen;
  }

  /** Makes the memory of samplings and chosen tokens; `owned` keeps it. */
  static async create(
    gpu: Gpu,
    owned: Owned,
    tensors: SamplerTensors,
    shape: SamplerShape,
  ): Promise<Sampler> {
    const { sequences, kept } = shape;
    const empty = async (label: string, ...sizes: number[]) =>
      owned.keep(await Tensor.empty(gpu, sizes, { dtype: "u32", label }));
    return new Sampler(gpu, owned, tensors, shape, {
      samplings: await empty("samplings", sequences, SAMPLING_WORDS),
      rows: await empty("rows", tensors.logits.shape[0]),
      chosen: await empty("chosen", sequences, kept),
    });
  }

  /**
   * Chooses the tokens of a sequence by this sampling from now on.
   *
   * @param tokens The sequence's tokens so far: those of its prompt, and those that were generated.
   */
  async set(
    sequence: number,
    sampling: SequenceSampling,
    tokens: { prompt: readonly number[]; generated: readonly number[] },
  ): Promise<void> {
    const { queue } = this.#gpu.device;
    if (isAdjusted(sampling)) {
      const { counts, biases } = await this.#adjustments();
      const { vocabSize } = this;
      const offset = 4 * sequence * vocabSize;
      queue.writeBuffer(counts.buffer, offset, tokenCounts(tokens, vocabSize));
      queue.writeBuffer(biases.buffer, offset, biasesOf(sampling.logitBias, vocabSize));
    }
    queue.writeBuffer(
      this.#samplings.buffer,
      4 * sequence * SAMPLING_WORDS,
      wordsOf(sampling, this.vocabSize),
    );
    this.#current.set(sequence, sampling);
  }

  /** Tokens of the vocabulary. */
  get vocabSize(): number {
    return this.#tensors.logits.shape[1];
  }

  /** Says whose next token each of the first rows of logits tells; the others are not looked at. */
  setRows(sequences: readonly number[]): void {
    const all = new Uint32Array(this.#rows.length).fill(NO_SEQUENCE);
    all.set(sequences);
    this.#gpu.device.queue.writeBuffer(this.#rows.buffer, 0, all);
  }

  /**
   * Allocates and compiles all that choosing by a sampling takes, so that no step by it has to.
   *
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  async reserve(sampling: SequenceSampling): Promise<void> {
    await this.#bound(1, [sampling]);
  }

  /** The choice of a token for each of these sequences, in the order of their rows. */
  bind(sequences: readonly number[]): Promise<BoundWork> {
    const samplings = sequences.flatMap((sequence) => this.#current.get(sequence) ?? []);
    return this.#bound(sequences.length, samplings);
  }

  /** The choice of tokens of so many rows, each by one of these samplings. */
  #bound(numRows: number, samplings: readonly SequenceSampling[]): Promise<BoundWork> {
    const kinds = {
      argmax: samplings.some(({ temperature }) => temperature === 0),
      sample: samplings.some(({ temperature }) => temperature > 0),
      adjusts: samplings.some(isAdjusted),
      logprobs: samplings.some(({ logprobs }) => logprobs !== undefined),
    };
    const key = `${numRows} rows: ${Object.values(kinds)}`;
    return once(this.#works, key, async () => boundWork(await this.#bind(numRows, kinds)));
  }

  /** Reads the newest tokens of all sequences. */
  async read(): Promise<ChosenTokens> {
    const { kept } = this.#shape;
    const places = this.#made.get("logprobs");
    const [chosen, logprobs] = await Promise.all([
      this.#chosen.download(),
      places && (await places).download(),
    ]);
    const placeOf = (sequence: number, position: number) => sequence * kept + position % kept;
    return {
      token: (sequence, position) => chosen[placeOf(sequence, position)],
      logprobs(sequence, position, likeliest) {
        const first = 2 * LOGPROBS * placeOf(sequence, position);
        const at = (i: number): TokenLogprob => {
          const [token, logprob] = logprobs!.subarray(first + 2 * i);
          return { token, logprob };
        };
        return {
          logprob: at(0).logprob,
          likeliest: Array.from({ length: likeliest }, (_, i) => at(1 + i)),
        };
      },
    };
  }

  async #bind(
    numRows: number,
    kinds: Record<"argmax" | "sample" | "adjusts" | "logprobs", boolean>,
  ): Promise<Dispatch[]> {
    const { vocabSize } = this;
    const { logits, tokens, lengths } = this.#tensors;
    const buffers = {
      ...{ rowSequences: this.#rows.buffer, samplings: this.#samplings.buffer },
      ...{ logits: logits.buffer, tokens: tokens.buffer, lengths, chosen: this.#chosen.buffer },
    };
    const dispatches: Dispatch[] = [];
    let scores = logits.buffer;
    const adjustments = kinds.adjusts ? await this.#adjustments() : undefined;
    const counts = adjustments?.counts.buffer;
    if (adjustments) {
      const kernel = await Kernel.compile(this.#gpu, adjustModule(vocabSize));
      const biases = adjustments.biases.buffer;
      scores = adjustments.adjusted.buffer;
      const bound = { ...buffers, biases, counts: adjustments.counts.buffer, adjusted: scores };
      dispatches.push(kernel.bind(bound, [Math.ceil(vocabSize / WIDE), numRows]));
    }
    for (const kind of ["argmax", "sample"] as const) {
      if (!kinds[kind]) continue;
      const lanes = lanesFor(this.#gpu, vocabSize, LOOPS[kind]);
      const kernel = await Kernel.compile(this.#gpu, chooseModule(kind, vocabSize, lanes));
      const params = this.#paramsOf(kernel);
      dispatches.push(kernel.bind({ ...buffers, logits: scores, params }, [numRows, 1]));
    }
    if (counts) {
      const kernel = await Kernel.compile(this.#gpu, countModule(vocabSize));
      dispatches.push(kernel.bind({ ...buffers, counts }, [Math.ceil(numRows / WIDE), 1]));
    }
    if (kinds.logprobs) {
      const { buffer } = await this.#logprobs();
      const lanes = lanesFor(this.#gpu, vocabSize, LOOPS.logprobs);
      const kernel = await Kernel.compile(this.#gpu, logprobsModule(vocabSize, lanes));
      const params = this.#paramsOf(kernel);
      dispatches.push(kernel.bind({ ...buffers, logprobs: buffer, params }, [numRows, 1]));
    }
    return dispatches;
  }

  #paramsOf(kernel: Kernel): GPUBuffer {
    let params = this.#params.get(kernel);
    if (!params) {
      params = this.#owned.keep(kernel.uniform({ kept: this.#shape.kept }));
      this.#params.set(kernel, params);
    }
    return params;
  }

  async #adjustments(): Promise<Adjustments> {
    const { vocabSize } = this;
    const { sequences } = this.#shape;
    return {
      counts: await this.#memory("token counts", [sequences, vocabSize], "u32"),
      biases: await this.#memory("logit biases", [sequences, vocabSize]),
      adjusted: await this.#memory("adjusted logits", this.#tensors.logits.shape),
    };
  }

  #logprobs(): Promise<Tensor> {
    const { sequences, kept } = this.#shape;
    return this.#memory("logprobs", [sequences, kept, LOGPROBS, 2]);
  }

  /** Memory that few sequences ask for. */
  #memory(
    label: string,
    shape: readonly number[],
    dtype: "f32" | "u32" = "f32",
  ): Promise<Tensor> {
    return once(
      this.#made,
      label,
      async () => this.#owned.keep(await Tensor.empty(this.#gpu, shape, { label, dtype })),
    );
  }
}

/** A number above zero whose products with shares are no zeros in f32. */
const LEAST = 2 ** -64;

/** A sampling as `struct Sampling` of the kernels has it. */
function wordsOf(sampling: SequenceSampling, vocabSize: number): Uint32Array<ArrayBuffer> {
  const { temperature, topP, minP, topK, seed, logprobs } = sampling;
  const { repetitionPenalty, frequencyPenalty, presencePenalty } = sampling;
  const words = new Uint32Array(SAMPLING_WORDS);
  const floats = new Float32Array(words.buffer);
  // A temperature too small for f32 leaves only the likeliest token, one too large makes all alike; neither is a zero, which
  // would mean greedy, nor is a share that leaves the first token alone.
  floats[0] = temperature === 0 ? 0 : Math.max(Math.min(1 / temperature, LARGEST_F32), LEAST);
  floats[1] = Math.max(topP, LEAST);
  floats[2] = minP;
  words[3] = topK >= vocabSize ? 0 : topK;
  words[4] = seed;
  words[5] = isAdjusted(sampling) ? 1 : 0;
  floats[6] = repetitionPenalty;
  floats[7] = frequencyPenalty;
  floats[8] = presencePenalty;
  words[9] = logprobs === undefined ? 0 : 1 + Math.min(logprobs, vocabSize);
  return words;
}

/** How often each token was generated, and a mark of those of the prompt. */
function tokenCounts(
  { prompt, generated }: { prompt: readonly number[]; generated: readonly number[] },
  vocabSize: number,
): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(vocabSize);
  for (const token of generated) counts[token]++;
  for (const token of prompt) counts[token] |= IN_PROMPT;
  return counts;
}

function biasesOf(
  logitBias: ReadonlyMap<number, number>,
  vocabSize: number,
): Float32Array<ArrayBuffer> {
  const biases = new Float32Array(vocabSize);
  for (const [token, bias] of logitBias) biases[token] = bias;
  return biases;
}

/** Lanes that share the vocabulary: more than are fast where the device ends loops before these get round it. */
function lanesFor({ profile, device }: Gpu, vocabSize: number, loops: number): number {
  const fast = profile.isSoftware ? WORKGROUP.software : WORKGROUP.gpu;
  const needed = 2 ** Math.ceil(Math.log2(loops * vocabSize / loopRounds(profile)));
  const lanes = Math.min(Math.max(fast, needed), device.limits.maxComputeInvocationsPerWorkgroup);
  checkRounds(profile, "choose a token", Math.ceil(loops * vocabSize / lanes), { vocabSize });
  return lanes;
}
