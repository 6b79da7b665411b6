/** Passes over the tokens of one sequence whose caches are on the device, each bound once for its number of tokens. */
import { once } from "../base/once.ts";
import type { KvCalibration } from "../cache/kv_calibration.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import type { Owned } from "../gpu/owned.ts";
import { Tensor } from "../tensor/tensor.ts";
import { blockTensors } from "./block.ts";
import type { Model } from "./model.ts";
import { bindLayers, Heads, type Pass } from "./passes.ts";
import { RingLayers, type RingLayersOptions } from "./ring_layers.ts";
import { copyLastRow, type RunSteps, type SequencePasses } from "./sequence_passes.ts";

/** Tokens in, logits out. */
export class RingPasses implements SequencePasses {
  readonly model: Model;
  readonly tokens: Tensor;
  readonly logits: Tensor;

  readonly #owned: Owned;
  readonly #rings: RingLayers;
  readonly #passes = new Map<number, Promise<Pass>>();
  readonly #heads: Heads;

  private constructor(
    model: Model,
    owned: Owned,
    made: { rings: RingLayers; tokens: Tensor; logits: Tensor },
  ) {
    this.model = model;
    this.#owned = owned;
    this.#rings = made.rings;
    this.tokens = made.tokens;
    this.logits = made.logits;
    this.#heads = new Heads(model, owned, made.logits);
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

  get lengths(): GPUBuffer {
    return this.#rings.first.lengthsBuffer;
  }

  get length(): number {
    return this.#rings.first.length();
  }

  get cacheBytes(): number {
    return this.#rings.bytes;
  }

  async feed(action: string, chunks: readonly (readonly number[])[]): Promise<void> {
    const last = await this.#layers(1);
    const head = await this.#heads.of(last.h);
    const passes = await Promise.all(chunks.map(({ length }) => this.#layers(length)));
    // One wait for all chunks.
    await this.model.gpu.guard(action, () => {
      passes.forEach(({ h, work }, i) =>
        this.#submit(chunks[i], (encoder) => {
          work.encode(encoder);
          if (i < chunks.length - 1) return;
          copyLastRow(encoder, h, last.h);
          head.work.encode(encoder);
        })
      );
    });
  }

  async forward(action: string, chunk: readonly number[]): Promise<Tensor> {
    const layers = await this.#layers(chunk.length);
    const { logits, work } = await this.#heads.of(layers.h);
    await this.model.gpu.guard(action, () =>
      this.#submit(chunk, (encoder) => {
        layers.work.encode(encoder);
        work.encode(encoder);
        copyLastRow(encoder, logits, this.logits);
      }));
    return logits;
  }

  async bindSteps(choose: BoundWork): Promise<RunSteps> {
    const { gpu } = this.model;
    const { h, work } = await this.#layers(1);
    const head = await this.#heads.of(h);
    const step = inSequence([choose, work, head.work]);
    return (action, steps) =>
      gpu.guard(action, () => {
        const encoder = gpu.device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        for (let i = 0; i < steps; i++) step.encode(pass);
        pass.end();
        gpu.device.queue.submit([encoder.finish()]);
      });
  }

  async truncate(action: string, length: number): Promise<void> {
    // The smallest ring has overwritten most: what it can take back, all can.
    const caches = this.#rings.caches.toSorted((a, b) => a.spec.capacity - b.spec.capacity);
    await this.model.gpu.guard(action, () =>
      this.#encode((encoder) => {
        for (const cache of caches) cache.truncate(encoder, length);
      }));
  }

  calibrate(): Promise<KvCalibration[]> {
    return Promise.all(this.#rings.caches.map((cache) => cache.calibrate()));
  }

  clear(): void {
    this.#encode((encoder) => {
      for (const cache of this.#rings.caches) cache.clear(encoder);
    });
  }

  /** All layers over `seqLen` tokens. */
  #layers(seqLen: number): Promise<Pass> {
    const { model, tokens } = this;
    const sequence = {
      embed: (h: Tensor) => Promise.resolve(model.embedding.bind(tokens, h, this.lengths)),
      attend: this.#rings.bind,
    };
    return once(this.#passes, seqLen, async () => {
      const tensors = await blockTensors(model.gpu, this.#owned, model.spec, seqLen);
      return await bindLayers(model, sequence, tensors);
    });
  }

  /** Writes the tokens that a pass reads, and submits work over them. */
  #submit(tokens: readonly number[], encode: (encoder: GPUCommandEncoder) => void): void {
    this.model.gpu.device.queue.writeBuffer(this.tokens.buffer, 0, new Uint32Array(tokens));
    this.#encode(encode);
  }

  #encode(encode: (encoder: GPUCommandEncoder) => void): void {
    const { device } = this.model.gpu;
    const encoder = device.createCommandEncoder();
    encode(encoder);
    device.queue.submit([encoder.finish()]);
  }
}
