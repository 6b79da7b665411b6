/** The attention of a layer over a ring cache, for any number of new tokens. */
import { checkObject } from "../base/check.ts";
import { once } from "../base/once.ts";
import type { RingKvCache } from "../cache/ring_kv_cache.ts";
import type { BoundWork } from "../gpu/bound_work.ts";
import { Owned } from "../gpu/owned.ts";
import type { AttentionSpec } from "../plan/spec.ts";
import { checkTensor } from "../tensor/tensor.ts";
import type {
  AttentionProjections,
  AttentionRows,
  NormedLayerTensors,
} from "./attention_projections.ts";
import { LayerAttention } from "./layer_attention.ts";

/** How scores are made and attention is planned, where the cache does not say. */
export type RingAttentionOptions = Pick<
  AttentionSpec,
  "scale" | "softcap" | "alibiSlopes" | "scoreMod" | "maskMod" | "blockMask" | "impl" | "tuning"
>;

/** The attention and the rows for a number of new tokens. */
interface Chunk {
  rows: AttentionRows;
  attention: LayerAttention;
}

/** Projections, a ring cache and attention over it. */
export class RingAttention {
  readonly projections: AttentionProjections;
  /** Keys and values of the tokens so far. */
  readonly cache: RingKvCache;
  readonly #options: RingAttentionOptions;
  readonly #owned = new Owned();
  readonly #chunks = new Map<number, Promise<Chunk>>();

  /** Both stay the caller's. */
  constructor(
    projections: AttentionProjections,
    cache: RingKvCache,
    options: RingAttentionOptions,
  ) {
    this.projections = projections;
    this.cache = cache;
    this.#options = options;
  }

  /** Binds the layer over new tokens [B, S, dim], and compiles the kernels for their number. */
  async bind(action: string, tensors: NormedLayerTensors): Promise<BoundWork> {
    checkObject(action, "tensors", tensors);
    const { projections, cache } = this;
    const { gpu, options: { dim } } = projections;
    const seqLen = tensors.x?.shape?.[1];
    const shape = [cache.spec.batch, seqLen, dim];
    checkTensor(action, "x", tensors.x, { gpu, shape, dtype: "f32" });
    checkTensor(action, "y", tensors.y, { gpu, shape, dtype: "f32" });
    const { rows, attention } = await once(this.#chunks, seqLen, () => this.#makeChunk(seqLen));
    const { q, k, v, o } = rows;
    const rotation = projections.rotationFor(cache);
    const attend = [
      cache.bindAppend({ k, v }),
      ...(cache.hasRope && !rotation ? [cache.bindRopeQueries(q)] : []),
      ...attention.bind({ q, cache, o, modTensors: tensors.modTensors }),
    ];
    return await projections.bind(tensors, rows, attend, rotation);
  }

  /** Frees scratch. */
  destroy(): void {
    this.#owned.destroy();
  }

  async #makeChunk(seqLen: number): Promise<Chunk> {
    const { gpu, options: { numHeads } } = this.projections;
    const { spec } = this.cache;
    return await Owned.make(async (owned) => {
      const options = { ...spec, ...this.#options, numHeads, seqLen };
      const chunk = {
        rows: await this.projections.emptyRows(owned, [spec.batch, seqLen]),
        attention: await LayerAttention.create(gpu, owned, options),
      };
      this.#owned.keep(owned);
      return chunk;
    });
  }
}
