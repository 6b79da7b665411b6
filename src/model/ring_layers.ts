/** The caches of one sequence: a ring for each layer of a decoder, and attention over it. */
import type { KvCalibration } from "../cache/kv_calibration.ts";
import type { KvRotation } from "../cache/kv_transform.ts";
import { RingKvCache } from "../cache/ring_kv_cache.ts";
import type { RingKvCacheOptions } from "../cache/ring_options.ts";
import type { BoundWork } from "../gpu/bound_work.ts";
import type { Owned } from "../gpu/owned.ts";
import type { NormedLayerTensors } from "../layer/attention_projections.ts";
import { RingAttention } from "../layer/ring_attention.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import type { Block } from "./block.ts";
import type { Model } from "./model.ts";
import type { DecoderLayer, DecoderSpec } from "./spec.ts";

/** The sizes of the rings. */
export interface RingLayersOptions {
  /** Tokens of the longest sequence. */
  maxTokens: number;
  /** Most tokens that are fed at once. */
  maxSeqLen: number;
  window?: number;
  sinks?: number;
  kvDtype?: KvDtype;
  /** One for each layer. */
  kvCalibration?: readonly KvCalibration[];
  kvRotation?: KvRotation;
}

const RUN = "run a layer of Decoder";

/** The options of a ring but for its heads. */
type RingOptions = Omit<RingKvCacheOptions, "numKvHeads" | "headDim">;

/** Attention of every layer over rings that have the same tokens. */
export class RingLayers {
  readonly #attentions: readonly RingAttention[];

  private constructor(attentions: readonly RingAttention[]) {
    this.#attentions = attentions;
  }

  /** Allocates the rings; `owned` keeps them. */
  static async create(
    { spec, blocks }: Model,
    owned: Owned,
    options: RingLayersOptions,
  ): Promise<RingLayers> {
    const attentions: RingAttention[] = [];
    for (const [i, block] of blocks.entries()) {
      const { kvCalibration, kvRotation } = options;
      const stored = { kvRotation, kvCalibration: kvCalibration?.[i] };
      const cache = { ...cacheOptions(spec.layers[i], options), ...stored };
      attentions.push(await ringAttention(owned, spec, block, cache));
    }
    return new RingLayers(attentions);
  }

  /** Binds the attention of a layer. */
  readonly bind = (layer: number, tensors: NormedLayerTensors): Promise<BoundWork> =>
    this.#attentions[layer].bind(RUN, tensors);

  /** The caches, from the first layer to the last. */
  get caches(): RingKvCache[] {
    return this.#attentions.map(({ cache }) => cache);
  }

  /** The cache of the first layer, whose lengths are those of all. */
  get first(): RingKvCache {
    return this.#attentions[0].cache;
  }

  /** Bytes of all rings. */
  get bytes(): number {
    return this.caches.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

/** Attention of a block over a ring of its own; `owned` keeps both. */
export async function ringAttention(
  owned: Owned,
  { numKvHeads, headDim, scale, alibiSlopes }: DecoderSpec,
  { projections }: Block,
  options: RingOptions,
): Promise<RingAttention> {
  const ring = { ...options, numKvHeads, headDim };
  const cache = owned.keep(await RingKvCache.create(projections.gpu, ring));
  return owned.keep(new RingAttention(projections, cache, { scale, alibiSlopes }));
}

/** A windowed layer keeps what it sees and what comes in at once, where that is less than all tokens. */
function cacheOptions(
  { rope, window: own = Infinity }: DecoderLayer,
  { maxTokens, maxSeqLen, sinks = 0, kvDtype, window: asked = Infinity }: RingLayersOptions,
): RingOptions {
  const window = Math.min(own, asked);
  if (sinks + window >= maxTokens) return { capacity: maxTokens, kvDtype, rope };
  const capacity = sinks + window + maxSeqLen - 1;
  return capacity < maxTokens
    ? { capacity, window, sinks, maxSeqLen, kvDtype, rope }
    : { capacity: maxTokens, window, sinks, overflow: "error", kvDtype, rope };
}
