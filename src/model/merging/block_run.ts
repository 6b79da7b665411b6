import type { BoundWork } from "../../gpu/bound_work.ts";
import type { Gpu } from "../../gpu/device.ts";
import { type Destroyable, Owned } from "../../gpu/owned.ts";
import type { RingKvCache } from "../../cache/ring_kv_cache.ts";
import type { NormedLayerTensors } from "../../layer/attention_projections.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { Block, type BlockTensors, blockTensors } from "../block.ts";
import { ringAttention } from "../ring_layers.ts";
import type { DecoderSource } from "../decoder_source.ts";
import { Uploads } from "../uploads.ts";

/** Where rows of a block go, those of all sequences [sequences, seqLen, width]. */
export type Taps = Partial<Record<"h" | "attentionInput" | "inside", Tensor>>;

export const RUN = "run a layer for calibration";

/** One block of a decoder over whole sequences, one after the other, each from its start. */
export class BlockRun implements Destroyable {
  readonly #gpu: Gpu;
  readonly #owned: Owned;
  readonly #cache: RingKvCache;
  readonly #tensors: BlockTensors;
  readonly #work: BoundWork;

  private constructor(
    gpu: Gpu,
    owned: Owned,
    cache: RingKvCache,
    tensors: BlockTensors,
    work: BoundWork,
  ) {
    this.#gpu = gpu;
    this.#owned = owned;
    this.#cache = cache;
    this.#tensors = tensors;
    this.#work = work;
  }

  /** Uploads the weights of a layer. */
  static async create(
    gpu: Gpu,
    { spec, weights }: DecoderSource,
    { layer, seqLen }: { layer: number; seqLen: number },
  ): Promise<BlockRun> {
    return await Owned.make(async (owned) => {
      const { rope, window } = spec.layers[layer];
      const uploads = new Uploads(RUN, gpu, owned, { spec, weights });
      const stored = { name: `layers.${layer}`, weightDtype: "f32" } as const;
      const block = await Block.create(gpu, spec, uploads, stored);
      const attention = await ringAttention(owned, spec, block, {
        ...{ capacity: seqLen, rope, window, overflow: "error" },
      });
      const options = { keepsInputs: true };
      const tensors = await blockTensors(gpu, owned, spec, seqLen, options);
      const attend = (bound: NormedLayerTensors) => attention.bind(RUN, bound);
      const work = await block.bind(tensors, attend, options);
      return new BlockRun(gpu, owned, attention.cache, tensors, work);
    });
  }

  /** Runs the block over a residual stream [sequences, seqLen, dim], which may also be where `h` goes. */
  async run(stream: Tensor, taps: Taps): Promise<void> {
    const { device } = this.#gpu;
    const { h } = this.#tensors;
    await this.#gpu.guard(RUN, () => {
      for (let sequence = 0; sequence < stream.shape[0]; sequence++) {
        const encoder = device.createCommandEncoder();
        this.#cache.clear(encoder);
        encoder.copyBufferToBuffer(stream.buffer, sequence * h.bytes, h.buffer, 0, h.bytes);
        this.#work.encode(encoder);
        for (const name of Object.keys(taps) as (keyof Taps)[]) {
          const { buffer, bytes } = this.#tensors[name];
          encoder.copyBufferToBuffer(buffer, 0, taps[name]!.buffer, sequence * bytes, bytes);
        }
        device.queue.submit([encoder.finish()]);
      }
    });
  }

  destroy(): void {
    this.#owned.destroy();
  }
}
