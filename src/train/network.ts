/** A decoder from tokens to logits over sequences of one shape, and back from the logits' gradients to the weights'. */
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { Embedding } from "../model/embedding.ts";
import { EmbeddingGradient } from "../model/embedding_gradient.ts";
import type { DecoderSpec } from "../model/spec.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  bindBlock,
  bindBlockGradient,
  bindNormGradient,
  bindProjectionGradient,
  type BlockActivations,
  blockActivations,
  blockGradients,
} from "./block.ts";
import type { Parameters } from "./parameters.ts";
import { Pass, type PassShape } from "./pass.ts";

/** Options of {@linkcode Network.create}. */
export interface NetworkOptions {
  /** Tokens of all sequences, one after the other: u32 [batch x seqLen]. */
  tokens: Tensor;
  /**
   * Whether each layer keeps what it computes for the backward pass. Layers otherwise share one set of tensors, and the
   * backward pass computes each layer anew before it goes back through it.
   */
  keepsActivations: boolean;
}

/** The backward pass. */
export interface NetworkGradient {
  /** The gradient of a loss by the logits, for others to write: f32 [batch x seqLen, vocabSize]. */
  dLogits: Tensor;
  /** From `dLogits` to the sums of the weights' gradients and what is in them. */
  work: BoundWork;
  /** Sorts the tokens of the next pass, for the gradient of their embeddings. */
  write(tokens: ArrayLike<number>): void;
}

/** A decoder over sequences that begin at position 0. */
export class Network {
  /** Logits after each token: f32 [batch x seqLen, vocabSize]. */
  readonly logits: Tensor;
  /** From `tokens` to `logits`. */
  readonly forward: BoundWork;

  readonly #pass: Pass;
  readonly #keeps: boolean;
  /** The residual stream before each layer, and behind the last. */
  readonly #streams: readonly Tensor[];
  /** Of each layer, which may all be the same. */
  readonly #activations: readonly BlockActivations[];
  readonly #blocks: readonly BoundWork[];
  readonly #normed: Tensor;

  private constructor(pass: Pass, keeps: boolean, made: {
    logits: Tensor;
    forward: BoundWork;
    streams: readonly Tensor[];
    activations: readonly BlockActivations[];
    blocks: readonly BoundWork[];
    normed: Tensor;
  }) {
    this.#pass = pass;
    this.#keeps = keeps;
    this.logits = made.logits;
    this.forward = made.forward;
    this.#streams = made.streams;
    this.#activations = made.activations;
    this.#blocks = made.blocks;
    this.#normed = made.normed;
  }

  /** Binds the forward pass; `owned` keeps what it makes. */
  static async create(
    gpu: Gpu,
    owned: Owned,
    spec: DecoderSpec,
    shape: PassShape,
    parameters: Parameters,
    { tokens, keepsActivations: keeps }: NetworkOptions,
  ): Promise<Network> {
    const pass = await Pass.create(gpu, owned, spec, shape, parameters);
    const { numTokens } = pass;
    const row = [1, numTokens, spec.dim];
    const stream = async () => (await pass.tensors({ stream: row })).stream;
    const { normed, logits } = await pass.tensors({
      ...{ normed: row, logits: [numTokens, spec.vocabSize] },
    });
    const streams = [await stream()];
    const activations: BlockActivations[] = [];
    const blocks: BoundWork[] = [];
    for (let i = 0; i < spec.layers.length; i++) {
      streams.push(await stream());
      activations.push(keeps || i === 0 ? await blockActivations(pass) : activations[0]);
      const ends = { x: streams[i], y: streams[i + 1] };
      blocks.push(await bindBlock(pass, i, ends, activations[i]));
    }
    const embedding = owned.keep(
      await Embedding.create(
        gpu,
        { w: parameters.matrix("embedding") },
        spec.embeddingScale ?? 1,
      ),
    );
    const norm = await parameters.norm("finalNorm", spec);
    const classifier = parameters.linear(classifierOf(parameters));
    const last = streams[spec.layers.length];
    const forward = inSequence([
      embedding.bind(tokens, streams[0]),
      ...blocks,
      norm.bind({ x: last.buffer, y: normed.buffer }, numTokens),
      await classifier.bind({ x: normed.buffer, y: logits.buffer }, numTokens),
    ]);
    return new Network(pass, keeps, { logits, forward, streams, activations, blocks, normed });
  }

  /** Binds the backward pass. The parameters have gradients, which it adds to. */
  async gradient(): Promise<NetworkGradient> {
    const pass = this.#pass;
    const { gpu, owned, spec, parameters, numTokens } = pass;
    const { dLogits, dh, dNormed } = await pass.tensors({
      dLogits: this.logits.shape,
      ...{ dh: this.#normed.shape, dNormed: this.#normed.shape },
    });
    const gradients = await blockGradients(pass);
    const last = this.#streams[spec.layers.length];
    const works = [
      await bindProjectionGradient(pass, classifierOf(parameters), {
        ...{ x: this.#normed, dy: dLogits, dx: dNormed },
      }),
      await bindNormGradient(pass, "finalNorm", { x: last, dy: dNormed, dx: dh }),
    ];
    for (let i = spec.layers.length - 1; i >= 0; i--) {
      if (!this.#keeps) works.push(this.#blocks[i]);
      const ends = { x: this.#streams[i], dh };
      works.push(await bindBlockGradient(pass, i, ends, this.#activations[i], gradients));
    }
    const embedding = owned.keep(
      await EmbeddingGradient.create(gpu, { vocabSize: spec.vocabSize, numTokens }),
    );
    const dw = parameters.gradient("embedding.weight")!;
    works.push(
      await embedding.bind(
        { dy: dh.buffer, dw },
        { dim: spec.dim, scale: spec.embeddingScale ?? 1 },
      ),
    );
    return {
      dLogits,
      work: inSequence(works),
      write: (tokens) => embedding.write(tokens),
    };
  }
}

/** The component whose matrix makes logits: the embedding, where a decoder has no classifier of its own. */
function classifierOf({ tensors }: Parameters): "classifier" | "embedding" {
  return tensors.has("classifier.weight") ? "classifier" : "embedding";
}
