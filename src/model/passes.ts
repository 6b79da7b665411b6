/** The work of a model over a number of tokens, bound once for each number. */
import { once } from "../base/once.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Model } from "./model.ts";

/** All layers over `seqLen` tokens. */
export interface Pass {
  /** The residual stream [1, seqLen, dim]. */
  h: Tensor;
  /** From tokens to `h`. */
  work: BoundWork;
}

/** The final norm and the classifier over `seqLen` tokens. */
export interface Head {
  /** f32 [seqLen, vocabSize] */
  logits: Tensor;
  /** From the residual stream of the same number of tokens to `logits`. */
  work: BoundWork;
}

/** Tokens in, logits out. */
export class Passes {
  readonly model: Model;
  /** Tokens that a pass reads: u32 [maxSeqLen]. */
  readonly tokens: Tensor;
  /** Logits after the last token: f32 [1, vocabSize]. */
  readonly logits: Tensor;

  readonly #passes = new Map<number, Promise<Pass>>();
  readonly #heads = new Map<number, Promise<Head>>();

  private constructor(model: Model, tokens: Tensor, logits: Tensor) {
    this.model = model;
    this.tokens = tokens;
    this.logits = logits;
  }

  /** Makes the tensors at both ends; the model frees them. */
  static async create(model: Model): Promise<Passes> {
    const { gpu, spec: { vocabSize }, options: { maxSeqLen } } = model;
    const tokens = await Tensor.empty(gpu, [maxSeqLen], { dtype: "u32", label: "tokens" });
    model.keep(tokens);
    const logits = await Tensor.empty(gpu, [1, vocabSize], { label: "logits" });
    return new Passes(model, tokens, model.keep(logits));
  }

  /** All layers over `seqLen` tokens. */
  layers(seqLen: number): Promise<Pass> {
    return once(this.#passes, seqLen, async () => {
      const { model } = this;
      const { dim, hiddenDim } = model.spec;
      const tensor = async (label: string, width: number) =>
        model.keep(await Tensor.empty(model.gpu, [1, seqLen, width], { label }));
      const h = await tensor("h", dim);
      const tensors = {
        h,
        attentionInput: await tensor("attention input", dim),
        mlpInput: await tensor("mlp input", dim),
        inside: await tensor("inside", hiddenDim),
        addend: await tensor("addend", dim),
      };
      const works = [model.embedding.bind(this.tokens, h, model.firstCache.lengthsBuffer)];
      for (const block of model.blocks) works.push(await block.bind(tensors));
      return { h, work: inSequence(works) };
    });
  }

  /** Logits of `seqLen` tokens, from what `layers(seqLen)` leaves. */
  head(seqLen: number): Promise<Head> {
    return once(this.#heads, seqLen, async () => {
      const { model } = this;
      const { gpu, spec: { dim, vocabSize } } = model;
      const { h } = await this.layers(seqLen);
      const normed = model.keep(await Tensor.empty(gpu, [seqLen, dim], { label: "final norm" }));
      const logits = seqLen === 1
        ? this.logits
        : model.keep(await Tensor.empty(gpu, [seqLen, vocabSize], { label: "logits" }));
      const work = inSequence([
        model.finalNorm.bind({ x: h.buffer, y: normed.buffer }, seqLen),
        await model.classifier.bind({ x: normed.buffer, y: logits.buffer }, seqLen),
      ]);
      return { logits, work };
    });
  }

  /** Writes the tokens that a pass reads, and submits work over them. */
  submit(tokens: readonly number[], encode: (encoder: GPUCommandEncoder) => void): void {
    const { device } = this.model.gpu;
    device.queue.writeBuffer(this.tokens.buffer, 0, new Uint32Array(tokens));
    const encoder = device.createCommandEncoder();
    encode(encoder);
    device.queue.submit([encoder.finish()]);
  }
}
