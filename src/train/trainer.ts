import {
  checkBoolean,
  checkFinite,
  checkInteger,
  checkObject,
  checkPositive,
  checkString,
  sentence,
} from "../base/check.ts";
import { Turns } from "../base/turns.ts";
import { checkpointError } from "../checkpoints/checkpoint_error.ts";
import { fileSystem } from "../checkpoints/file_system.ts";
import { replaceFile } from "../checkpoints/writer/replace_file.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { checkSpec, checkWeights } from "../model/check_spec.ts";
import type { DecoderSpec } from "../model/spec.ts";
import type { DecoderWeights } from "../model/weights.ts";
import { Tensor } from "../tensor/tensor.ts";
import { TrainingDivergedError } from "./diverged_error.ts";
import { Network, type NetworkGradient } from "./network.ts";
import { Objective } from "./objective.ts";
import { AdamW, type AdamWOptions, fillInAdamW } from "./optimizer.ts";
import { checkArchitecture, Parameters } from "./parameters.ts";
import { type Pair, pairsOf } from "./sequences.ts";
import { rateAt, type RateSchedule } from "./schedule.ts";
import { decodeState, encodeState, type StateTensor } from "./state.ts";

/** The model whose distribution a trained one is to have. */
export interface Teacher {
  /** Its shape, with the same vocabulary. */
  spec: DecoderSpec;
  /** Its weights, which stay as they are. */
  weights: DecoderWeights;
  /** What the logits of both are divided by before they are compared (Hinton et al. 2015). The default is 1. */
  temperature?: number;
  /** Share of the divergence from the teacher in the loss; the rest is cross-entropy to the text. The default is 1. */
  share?: number;
}

/** Options of {@linkcode Trainer.create}. */
export interface TrainerOptions extends AdamWOptions, Partial<Omit<RateSchedule, "steps">> {
  /** Steps of the whole training, over which the learning rate falls. */
  steps: number;
  /** Tokens that each sequence predicts. */
  seqLen: number;
  /** Sequences that are on the device at once. */
  batch: number;
  /** Micro-batches of `batch` sequences whose gradients make one step. The default is 1. */
  accumulate?: number;
  /** The model to learn from. The default is none: the loss is the cross-entropy to the text. */
  teacher?: Teacher;
  /**
   * Whether layers are computed anew in the backward pass instead of kept: a third more arithmetic, and the activations of one
   * layer instead of all. The default is false.
   */
  recompute?: boolean;
}

/** What a step did. */
export interface TrainingStep {
  /** Its number, from 1 on. */
  step: number;
  /** Mean loss of a token before the step, in nats. */
  loss: number;
  /** Norm of all gradients together, before it was clipped. */
  norm: number;
  /** Learning rate. */
  rate: number;
  /** Tokens that were predicted. */
  tokens: number;
}

const CREATE = "create Trainer";
const TRAIN = "train";
const EVALUATE = "evaluate";

/** The numbers of a training, with their defaults. */
type FilledOptions =
  & RateSchedule
  & Required<
    Pick<TrainerOptions, "seqLen" | "batch" | "accumulate" | "recompute">
  >;

/** What {@linkcode Trainer.create} makes. */
interface TrainerParts {
  owned: Owned;
  parameters: Parameters;
  adamw: AdamW;
  objective: Objective;
  gradient: NetworkGradient;
  /** The tokens of a micro-batch u32 [batch x seqLen]. */
  tokens: Tensor;
  /** From tokens and labels to the gradients of the weights, for a micro-batch. */
  work: BoundWork;
  /** From tokens and labels to the cross-entropy of each. */
  evaluation: BoundWork;
}

/**
 * Trains a decoder on the GPU: cross-entropy to a text, or the divergence from a teacher's distribution (distillation: Hinton et
 * al. 2015, arXiv 1503.02531), by AdamW with clipped gradients, a warm-up and a cosine. Everything but the tokens stays on
 * the device, in f32, and no sum depends on the order in which invocations run: the same weights, options and sequences give
 * the same bits.
 *
 * Decoders of the Llama kind: RMSNorm or LayerNorm in front of attention and feed-forward, rotary positions or ALiBi, feed-forward
 * with a gate or without, biases. Others are refused by name.
 *
 * @example A model learns a text, and its weights generate
 * ```ts
 * import { Gpu } from "@onehead/attention";
 * import { Decoder, type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
 * import { Batches, Trainer } from "@onehead/attention/train";
 *
 * const spec: DecoderSpec = {
 *   ...{ vocabSize: 5, dim: 8, hiddenDim: 12, numHeads: 2, numKvHeads: 1, headDim: 4, contextLen: 16 },
 *   layers: [{ rope: {} }],
 *   norm: { kind: "rms", eps: 1e-5 },
 *   ...{ activation: "silu", isGated: true, isParallel: false },
 * };
 * const gpu = await Gpu.open();
 * const options = { steps: 4, batch: 2, seqLen: 8, rate: 1e-2 };
 * const trainer = await Trainer.create(gpu, spec, randomWeights(spec), options);
 * const text = Array.from({ length: 40 }, (_, i) => i % 5);
 * const batches = new Batches(text, { seqLen: 8, batch: trainer.sequencesPerStep });
 * while (trainer.step < trainer.steps) {
 *   const { step, loss } = await trainer.train(batches.at(trainer.step));
 *   console.log(step, loss);
 * }
 * const decoder = await Decoder.create(gpu, spec, await trainer.weights());
 * console.log(decoder.maxTokens);
 * gpu.destroy();
 * ```
 */
export class Trainer {
  /** Where it runs. */
  readonly gpu: Gpu;
  /** The shape of the decoder. */
  readonly spec: DecoderSpec;

  readonly #options: FilledOptions;
  readonly #parts: TrainerParts;
  /** Two calls at once would mix their tokens. */
  readonly #turns = new Turns();
  #step = 0;
  /** Whether a step was given up midway: what its micro-batches left in the gradients is no part of the next. */
  #isHalfDone = false;

  private constructor(gpu: Gpu, spec: DecoderSpec, options: FilledOptions, parts: TrainerParts) {
    this.gpu = gpu;
    this.spec = spec;
    this.#options = options;
    this.#parts = parts;
  }

  /**
   * Uploads the weights, allocates activations, gradients and moments, and compiles all kernels.
   *
   * @param gpu Where to run.
   * @param spec The shape of the decoder.
   * @param weights The weights to begin with.
   * @param options Sizes of a step, learning rate, and the teacher.
   * @returns The trainer. Destroy it with {@linkcode Trainer.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, the decoder is of an architecture that is not trained, the teacher has
   * another vocabulary, a weight has another shape, or something does not fit the device.
   * @throws {CheckpointError} If a weight is missing or cannot be read.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   *
   * @example Distillation into a decoder with one KV head, from one with two
   * ```ts
   * import { Gpu } from "@onehead/attention";
   * import { type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
   * import { Trainer } from "@onehead/attention/train";
   *
   * const teacher: DecoderSpec = {
   *   ...{ vocabSize: 5, dim: 8, hiddenDim: 12, numHeads: 2, numKvHeads: 2, headDim: 4, contextLen: 16 },
   *   layers: [{ rope: {} }],
   *   norm: { kind: "rms", eps: 1e-5 },
   *   ...{ activation: "silu", isGated: true, isParallel: false },
   * };
   * const spec = { ...teacher, numKvHeads: 1 };
   * const gpu = await Gpu.open();
   * const trainer = await Trainer.create(gpu, spec, randomWeights(spec), {
   *   ...{ steps: 100, batch: 2, seqLen: 4 },
   *   teacher: { spec: teacher, weights: randomWeights(teacher) },
   * });
   * const { loss, norm } = await trainer.train([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]);
   * console.log(loss, norm);
   * gpu.destroy();
   * ```
   */
  static async create(
    gpu: Gpu,
    spec: DecoderSpec,
    weights: DecoderWeights,
    options: TrainerOptions,
  ): Promise<Trainer> {
    checkGpu(CREATE, gpu);
    checkObject(CREATE, "options", options);
    checkWeights(CREATE, weights);
    checkSpec(CREATE, spec);
    const filled = fillIn(options);
    checkArchitecture(CREATE, spec, weights);
    checkContext(spec, filled);
    if (options.teacher !== undefined) {
      checkTeacher(spec, options.teacher);
      checkContext(options.teacher.spec, filled);
    }
    return await Owned.make(async (owned) => {
      const parts = await createParts(gpu, owned, spec, weights, { ...options, ...filled });
      return new Trainer(gpu, spec, filled, parts);
    });
  }

  /** Steps that are done. */
  get step(): number {
    return this.#step;
  }

  /** Steps of the whole training. */
  get steps(): number {
    return this.#options.steps;
  }

  /** Sequences that a step takes. */
  get sequencesPerStep(): number {
    return this.#options.batch * this.#options.accumulate;
  }

  /**
   * One step.
   *
   * @param sequences As many as {@linkcode Trainer.sequencesPerStep}, each of `seqLen + 1` tokens.
   * @returns The loss before the step, and what the step was.
   * @throws {RangeError} If there are not as many sequences or tokens, or a token is not of the vocabulary.
   * @throws {TrainingDivergedError} If the loss or the gradient is not finite: the weights stay as they are.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async train(sequences: readonly ArrayLike<number>[]): Promise<TrainingStep> {
    const { seqLen, batch, accumulate } = this.#options;
    const { adamw, objective, gradient, work } = this.#parts;
    const many = { count: batch * accumulate, seqLen, vocabSize: this.spec.vocabSize };
    const pairs = pairsOf(TRAIN, sequences, many);
    const tokens = many.count * seqLen;
    return await this.#turns.take(async () => {
      const rate = rateAt(this.#step, this.#options);
      const step = this.#step + 1;
      await this.gpu.guard(TRAIN, () => {
        if (this.#isHalfDone) this.#clearGradients();
        this.#isHalfDone = true;
        for (let micro = 0; micro < accumulate; micro++) {
          const inputs = this.#write(pairs, micro * batch);
          gradient.write(inputs);
          const encoder = this.gpu.device.createCommandEncoder();
          work.encode(encoder);
          objective.keepLosses(encoder, micro);
          if (micro === accumulate - 1) adamw.encode(encoder, step, rate);
          this.gpu.device.queue.submit([encoder.finish()]);
        }
      });
      const [loss, [norm]] = await Promise.all([objective.loss(), adamw.clipping.download()]);
      this.#isHalfDone = false;
      if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
        const rule = "the loss and the norm of its gradient must be finite (lower the rate)";
        throw new TrainingDivergedError(sentence(TRAIN, rule, { step, loss, norm, rate }));
      }
      this.#step = step;
      return { step, loss, norm, rate, tokens };
    });
  }

  /**
   * Measures how well the decoder predicts sequences; nothing is learned from them.
   *
   * @param sequences Sequences of `seqLen + 1` tokens, as many as one likes.
   * @returns Mean cross-entropy of a token in nats: its exponential is the perplexity.
   * @throws {RangeError} If there is none, one has another length, or a token is not of the vocabulary.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async evaluate(sequences: readonly ArrayLike<number>[]): Promise<number> {
    const { seqLen, batch } = this.#options;
    const { objective, evaluation } = this.#parts;
    const { vocabSize } = this.spec;
    const pairs = pairsOf(EVALUATE, sequences, { seqLen, vocabSize });
    return await this.#turns.take(async () => {
      let sum = 0;
      for (let first = 0; first < pairs.length; first += batch) {
        // Behind the last sequence, the first stands in for those that a batch lacks.
        const own = Math.min(batch, pairs.length - first);
        const filled = [
          ...pairs.slice(first, first + own),
          ...Array(batch - own).fill(pairs[0]),
        ];
        await this.gpu.guard(EVALUATE, () => {
          this.#write(filled, 0);
          const encoder = this.gpu.device.createCommandEncoder();
          evaluation.encode(encoder);
          this.gpu.device.queue.submit([encoder.finish()]);
        });
        const losses = await objective.entropies.download();
        for (let i = 0; i < own * seqLen; i++) sum += losses[i];
      }
      return sum / (pairs.length * seqLen);
    });
  }

  /**
   * Reads the weights back.
   *
   * @returns A copy of them as they are after the last step, as `Decoder.create` takes them.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async weights(): Promise<DecoderWeights> {
    const read = await this.#turns.take(async () => {
      const { tensors } = this.#parts.parameters;
      const weights = new Map<string, { data: Float32Array; shape: readonly number[] }>();
      for (const [name, tensor] of tensors) {
        weights.set(name, { data: await tensor.download(), shape: tensor.shape });
      }
      return weights;
    });
    return {
      has: (name) => read.has(name),
      read: (name) => {
        const weight = read.get(name);
        if (weight) return Promise.resolve(weight);
        return Promise.reject(
          checkpointError("the trained weights", `${name} is not there`, { name }),
        );
      },
    };
  }

  /**
   * Reads back all that training goes on from: weights, moments and the step.
   *
   * @returns The state, with a digest of its bytes.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async save(): Promise<Uint8Array> {
    return await this.#turns.take(async () => {
      const tensors: StateTensor[] = [];
      for (const [name, tensor] of this.#stateTensors()) {
        tensors.push({ name, shape: tensor.shape, data: await tensor.download() });
      }
      return await encodeState({ step: this.#step, tensors });
    });
  }

  /**
   * Goes on from a saved state: every later step gives the bits that it would have given without the pause, on the same device.
   *
   * @param state What {@linkcode Trainer.save} returned.
   * @param name What it is called in messages, such as the path of a file. The default is "the training state".
   * @throws {CheckpointError} If the bytes are no state, damaged, or of another decoder. Nothing is changed.
   * @throws {DeviceLostError} If the device is lost.
   */
  async resume(state: Uint8Array, name = "the training state"): Promise<void> {
    checkString("resume training", "name", name);
    const { step, tensors } = await decodeState(name, state);
    await this.#turns.take(async () => {
      const own = this.#stateTensors();
      const shapes = (all: readonly (readonly [string, { shape: readonly number[] }])[]) =>
        JSON.stringify(all.map(([name, { shape }]) => [name, shape]));
      if (shapes(own) !== shapes(tensors.map((tensor) => [tensor.name, tensor]))) {
        const rule = "its tensors must be those of the decoder that is trained";
        throw checkpointError(name, rule, { tensors: tensors.length, expected: own.length });
      }
      await this.gpu.guard("resume training", () => {
        own.forEach(([, { buffer }], i) =>
          this.gpu.device.queue.writeBuffer(buffer, 0, tensors[i].data as BufferSource)
        );
      });
      this.#step = step;
    });
  }

  /**
   * Saves the state to a file, whole or not at all: a process that is killed meanwhile leaves the file that was there before.
   *
   * @param path The file's path.
   * @throws {CheckpointError} If the system does not let it be written, or has no files, as a browser.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async saveTo(path: string): Promise<void> {
    checkString("save a training", "path", path);
    await replaceFile(path, await this.save());
  }

  /**
   * Goes on from the state in a file, as {@linkcode Trainer.resume} does.
   *
   * @param path The file's path.
   * @throws {CheckpointError} If it cannot be read, or as {@linkcode Trainer.resume}. Nothing is changed.
   * @throws {DeviceLostError} If the device is lost.
   */
  async resumeFrom(path: string): Promise<void> {
    checkString("resume training", "path", path);
    const state = await fileSystem(path).readFile(path).catch((cause) => {
      throw checkpointError(
        path,
        "the system does not let it be read",
        { error: cause.message },
        cause,
      );
    });
    await this.resume(state, path);
  }

  /** Frees everything. */
  destroy(): void {
    this.#parts.owned.destroy();
  }

  /** Writes the tokens and labels of a micro-batch, and returns its tokens. */
  #write(pairs: readonly Pair[], first: number): Uint32Array {
    const { seqLen, batch } = this.#options;
    const { tokens, objective } = this.#parts;
    const [inputs, labels] = [new Uint32Array(batch * seqLen), new Uint32Array(batch * seqLen)];
    for (let i = 0; i < batch; i++) {
      inputs.set(pairs[first + i].inputs, i * seqLen);
      labels.set(pairs[first + i].labels, i * seqLen);
    }
    this.gpu.device.queue.writeBuffer(tokens.buffer, 0, inputs);
    this.gpu.device.queue.writeBuffer(objective.labels.buffer, 0, labels);
    return inputs;
  }

  #clearGradients(): void {
    const encoder = this.gpu.device.createCommandEncoder();
    for (const { gradient } of this.#parts.adamw.parameters) encoder.clearBuffer(gradient.buffer);
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  /** The tensors of a state, in their order. */
  #stateTensors(): (readonly [string, Tensor])[] {
    const { parameters, adamw } = this.#parts;
    return [...parameters.tensors.keys()].flatMap((name, i) => {
      const { w, m, v } = adamw.parameters[i];
      return [[name, w], [`${name} m`, m], [`${name} v`, v]] as const;
    });
  }
}

/** Checks the numbers and fills in their defaults. */
function fillIn(options: TrainerOptions): FilledOptions {
  const { steps, seqLen, batch, accumulate = 1, recompute = false } = options;
  checkBoolean(CREATE, "recompute", recompute);
  const { rate = 1e-3, warmup = 0, finalShare = 0.1 } = options;
  for (const [name, value] of Object.entries({ steps, seqLen, batch, accumulate })) {
    checkInteger(CREATE, name, value);
  }
  checkInteger(CREATE, "warmup", warmup, 0);
  checkPositive(CREATE, "rate", rate);
  checkShare("finalShare", finalShare);
  fillInAdamW(CREATE, options);
  return { steps, seqLen, batch, accumulate, recompute, rate, warmup, finalShare };
}

function checkShare(name: string, value: unknown): void {
  checkFinite(CREATE, name, value);
  if (value as number >= 0 && value as number <= 1) return;
  throw new RangeError(sentence(CREATE, `${name} must be from 0 to 1`, { [name]: value }));
}

function checkTeacher(spec: DecoderSpec, teacher: Teacher): void {
  checkObject(CREATE, "teacher", teacher);
  const { temperature = 1, share = 1 } = teacher;
  checkSpec(CREATE, teacher.spec, "teacher.spec");
  checkWeights(CREATE, teacher.weights, "teacher.weights");
  checkPositive(CREATE, "teacher.temperature", temperature);
  checkShare("teacher.share", share);
  checkArchitecture(CREATE, teacher.spec, teacher.weights);
  if (teacher.spec.vocabSize === spec.vocabSize) return;
  const values = { vocabSize: spec.vocabSize, teacher: teacher.spec.vocabSize };
  throw new RangeError(sentence(CREATE, "the teacher must have the same vocabulary", values));
}

function checkContext({ positionsEnd, contextLen }: DecoderSpec, { seqLen }: FilledOptions): void {
  if (!positionsEnd || seqLen <= contextLen) return;
  const rule = "the model's positions end with contextLen";
  throw new RangeError(sentence(CREATE, rule, { seqLen, contextLen }));
}

/** Makes all that a trainer has. */
async function createParts(
  gpu: Gpu,
  owned: Owned,
  spec: DecoderSpec,
  weights: DecoderWeights,
  { teacher, ...options }: TrainerOptions & FilledOptions,
): Promise<TrainerParts> {
  const { batch, seqLen, accumulate, recompute } = options;
  const shape = { batch, seqLen };
  const tokens = owned.keep(
    await Tensor.empty(gpu, [batch * seqLen], { dtype: "u32", label: "tokens" }),
  );
  const parameters = await Parameters.upload(gpu, owned, CREATE, spec, weights);
  const adamw = owned.keep(await AdamW.create(gpu, [...parameters.tensors.values()], options));
  parameters.setGradients(adamw.parameters.map(({ gradient }) => gradient));
  const network = await Network.create(gpu, owned, spec, shape, parameters, {
    ...{ tokens, keepsActivations: !recompute },
  });
  const gradient = await network.gradient();
  const teaching = teacher && await Network.create(
    gpu,
    owned,
    teacher.spec,
    shape,
    await Parameters.upload(gpu, owned, CREATE, teacher.spec, teacher.weights),
    { tokens, keepsActivations: false },
  );
  const objective = await Objective.create(gpu, owned, {
    ...{ logits: network.logits, dLogits: gradient.dLogits, accumulate },
    ...(teacher && teaching && { teacher: { ...teacher, logits: teaching.logits } }),
  });
  return {
    ...{ owned, parameters, adamw, objective, gradient, tokens },
    work: inSequence([
      ...(teaching ? [teaching.forward] : []),
      ...[network.forward, objective.work, gradient.work],
    ]),
    evaluation: inSequence([network.forward, objective.evaluation]),
  };
}
