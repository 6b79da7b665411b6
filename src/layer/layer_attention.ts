/** The attention of a layer, with a block mask of its own where one is asked for. */
import { Attention } from "../attend/attention.ts";
import type { AttentionTensors } from "../attend/attention_tensors.ts";
import { BlockMask } from "../attend/block_mask.ts";
import type { BoundWork } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import type { AttentionSpec } from "../plan/spec.ts";
import { modTensorsOf } from "../score/score_mod.ts";

/** Attention, and the blocks of its mask, which are computed before it each time. */
export class LayerAttention {
  readonly #attention: Attention;
  readonly #blockMask: BlockMask | undefined;

  private constructor(attention: Attention, blockMask: BlockMask | undefined) {
    this.#attention = attention;
    this.#blockMask = blockMask;
  }

  /** Compiles the kernels; `owned` keeps scratch and blocks. */
  static async create(gpu: Gpu, owned: Owned, spec: AttentionSpec): Promise<LayerAttention> {
    const attention = owned.keep(await Attention.create(gpu, spec));
    const blockMask = spec.blockMask ? owned.keep(await BlockMask.create(gpu, spec)) : undefined;
    return new LayerAttention(attention, blockMask);
  }

  /** Binds the blocks of the mask, and attention by them. */
  bind(tensors: AttentionTensors): BoundWork[] {
    const blockMask = this.#blockMask;
    const attention = this.#attention.bind({ ...tensors, blockMask });
    if (!blockMask) return [attention];
    const { cache, lengths, modTensors } = tensors;
    const { maskMod } = blockMask.plan.spec;
    const read = Object.keys(modTensorsOf({ maskMod })).map((name) => [name, modTensors![name]]);
    return [
      blockMask.bind({ cache, lengths, modTensors: Object.fromEntries(read) }),
      attention,
    ];
  }
}
