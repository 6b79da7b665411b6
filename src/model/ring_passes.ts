/** Passes over the tokens of one sequence, each bound once for its number of tokens. */
import { once } from "../base/once.ts";
import type { BoundWork } from "../gpu/bound_work.ts";
import type { Owned } from "../gpu/owned.ts";
import { Tensor } from "../tensor/tensor.ts";
import { blockTensors } from "./block.ts";
import type { Model } from "./model.ts";
import { bindHead, bindLayers, type Pass } from "./passes.ts";
import { RingLayers, type RingLayersOptions } from "./ring_layers.ts";

/** The final norm and the classifier over `seqLen` tokens. */
export interface Head {
  /** f32 [seqLen, vocabSize] */
  logits: Tensor;
  /** From the residual stream of the same number of tokens to `logits`. */
  work: BoundWork;
}

/** Tokens in, logits out. */
export class RingPasses {
  readonly model: Model;
  readonly rings: RingLayers;
  /** Tokens that a pass reads: u32 [maxSeqLen]. */
  readonly tokens: Tensor;
  /** Logits after the last token: f32 [1, vocabSize]. */
  readonly logits: Tensor;

  readonly #owned: Owned;
  readonly #passes = new Map<number, Promise<Pass>>();
  readonly #heads = new Map<number, Promise<Head>>();

  private constructor(
    model: Model,
    owned: Owned,
    made: { rings: RingLayers; tokens: Tensor; logits: Tensor },
  ) {
    this.model = model;
    this.#owned = owned;
    this.rings = made.rings;
    this.tokens = made.tokens;
    this.logits = made.logits;
  }

  /** Makes the caches, and the tensors at both ends; `owned` keeps all of it. */
  static async create(
    model: Model,
    owned: Owned,
    options: RingLayersOptions,
  ): Promise<RingPasses> {
    const { gpu, spec: { vocabSize } } = model;
    const rings = await RingLayers.create(model, owned, options);
    const ids = { dtype: "u32", label: "tokens" } as const;
    const tokens = owned.keep(await Tensor.empty(gpu, [options.maxSeqLen], ids));
    const logits = owned.keep(await Tensor.empty(gpu, [1, vocabSize], { label: "logits" }));
    return new RingPasses(model, owned, { rings, tokens, logits });
  }

  /** All layers over `seqLen` tokens. */
  layers(seqLen: number): Promise<Pass> {
    const { model, rings, tokens } = this;
    const sequence = {
      embed: (h: Tensor) =>
        Promise.resolve(model.embedding.bind(tokens, h, rings.first.lengthsBuffer)),
      attend: rings.bind,
    };
    return once(this.#passes, seqLen, async () => {
      const tensors = await blockTensors(model.gpu, this.#owned, model.spec, seqLen);
      return await bindLayers(model, sequence, tensors);
    });
  }

  /** Logits of `seqLen` tokens, from what `layers(seqLen)` leaves. */
  head(seqLen: number): Promise<Head> {
    return once(this.#heads, seqLen, async () => {
      const { model } = this;
      const { gpu, spec: { vocabSize } } = model;
      const { h } = await this.layers(seqLen);
      const logits = seqLen === 1
        ? this.logits
        : this.#owned.keep(await Tensor.empty(gpu, [seqLen, vocabSize], { label: "logits" }));
      return { logits, work: await bindHead(model, this.#owned, { h, logits }, seqLen) };
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
