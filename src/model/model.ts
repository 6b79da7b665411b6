/** A decoder on the device: its weights, and the cache of each layer. */
import { checkChoice, checkInteger, checkObject, sentence } from "../base/check.ts";
import type { RingKvCache } from "../cache/ring_kv_cache.ts";
import type { RingKvCacheOptions } from "../cache/ring_options.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Destroyable, Owned } from "../gpu/owned.ts";
import { Linear } from "../layer/linear.ts";
import type { Norm } from "../layer/norm.ts";
import { KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import { Block } from "./block.ts";
import { Embedding } from "./embedding.ts";
import { Uploads } from "./uploads.ts";
import type { DecoderLayer, DecoderSpec } from "./spec.ts";
import type { DecoderWeights } from "./weights.ts";

/** Options of {@linkcode Decoder.create}. */
export interface DecoderOptions {
  /** Tokens of the longest sequence. The default is the spec's `contextLen`. */
  maxTokens?: number;
  /** Tokens that each layer sees, where its own window is not smaller. The default is its own. */
  window?: number;
  /** First tokens that windowed layers see besides. The default is 0. */
  sinks?: number;
  /** Element type of keys and values in the caches. The default is `"f32"`. */
  kvDtype?: KvDtype;
  /** Element type of matrices; integers have a step for each output. The default is `"f32"`. */
  weightDtype?: KvDtype;
  /** Most tokens that are fed at once; longer prompts go in chunks. The default is 64. */
  maxSeqLen?: number;
  /** Called with the number of layers uploaded so far. */
  progress?: (done: number, of: number) => void;
}

/** Options with the lengths and the element type of matrices filled in. */
type FilledOptions =
  & DecoderOptions
  & Required<Pick<DecoderOptions, "maxTokens" | "maxSeqLen" | "weightDtype">>;

/** The modules that {@linkcode Model.create} uploads. */
interface ModelModules {
  embedding: Embedding;
  blocks: readonly Block[];
  finalNorm: Norm;
  classifier: Linear;
  weightBytes: number;
}

const CREATE = "create Decoder";

/** The modules of a decoder, from tokens to logits. */
export class Model {
  readonly gpu: Gpu;
  readonly spec: DecoderSpec;
  readonly options: FilledOptions;
  readonly embedding: Embedding;
  readonly blocks: readonly Block[];
  readonly finalNorm: Norm;
  readonly classifier: Linear;
  /** Bytes of the weights. */
  readonly weightBytes: number;

  readonly #owned: Owned;

  private constructor(
    gpu: Gpu,
    spec: DecoderSpec,
    options: FilledOptions,
    owned: Owned,
    modules: ModelModules,
  ) {
    this.gpu = gpu;
    this.spec = spec;
    this.options = options;
    this.#owned = owned;
    this.embedding = modules.embedding;
    this.blocks = modules.blocks;
    this.finalNorm = modules.finalNorm;
    this.classifier = modules.classifier;
    this.weightBytes = modules.weightBytes;
  }

  /** Uploads the weights, one at a time, and makes a cache for each layer. */
  static async create(
    gpu: Gpu,
    spec: DecoderSpec,
    weights: DecoderWeights,
    options: DecoderOptions,
  ): Promise<Model> {
    for (const [name, value] of Object.entries({ spec, weights, options })) {
      checkObject(CREATE, name, value);
    }
    const filled = fillIn(spec, weights, options);
    return await Owned.make(async (owned) => {
      const uploads = new Uploads(gpu, owned, spec, weights);
      return new Model(gpu, spec, filled, owned, await upload(gpu, spec, uploads, filled));
    });
  }

  /** The cache of the first layer, whose lengths are those of all. */
  get firstCache(): RingKvCache {
    return this.blocks[0].attention.cache;
  }

  /** Bytes of all caches. */
  get cacheBytes(): number {
    return this.blocks.reduce((sum, { attention }) => sum + attention.cache.bytes, 0);
  }

  /** Frees what is made later together with the model. */
  keep<Made extends Destroyable>(made: Made): Made {
    return this.#owned.keep(made);
  }

  destroy(): void {
    this.#owned.destroy();
  }
}

/** Checks options and fills in their defaults. */
function fillIn(
  spec: DecoderSpec,
  weights: DecoderWeights,
  options: DecoderOptions,
): FilledOptions {
  const { maxTokens = spec.contextLen, weightDtype = "f32" } = options;
  const { maxSeqLen = Math.min(64, maxTokens) } = options;
  checkInteger(CREATE, "maxTokens", maxTokens);
  checkInteger(CREATE, "maxSeqLen", maxSeqLen);
  checkInteger(CREATE, "layers", spec.layers.length);
  const positionsEnd = spec.positionsEnd || weights.has("positions.weight");
  if (positionsEnd && maxTokens > spec.contextLen) {
    throw new RangeError(
      sentence(CREATE, "the model's positions end with contextLen", {
        maxTokens,
        contextLen: spec.contextLen,
      }),
    );
  }
  checkChoice(CREATE, "weightDtype", weightDtype, KV_DTYPES);
  return { ...options, maxTokens, maxSeqLen, weightDtype };
}

async function upload(
  gpu: Gpu,
  spec: DecoderSpec,
  uploads: Uploads,
  options: FilledOptions,
): Promise<ModelModules> {
  const { weightDtype, progress } = options;
  const w = await uploads.matrix("embedding", await uploads.read("embedding.weight"), weightDtype);
  const learned = await uploads.optional("positions.weight");
  const positions = learned && await uploads.tensor("positions", learned);
  const blocks: Block[] = [];
  for (const layer of spec.layers) {
    const cache = cacheOptions(layer, options);
    const name = `layers.${blocks.length}`;
    blocks.push(await Block.create(gpu, spec, uploads, { name, cache, weightDtype }));
    progress?.(blocks.length, spec.layers.length);
  }
  const own = await uploads.optional("classifier.weight");
  const classifier = own ? await uploads.matrix("classifier", own, weightDtype) : w;
  const finalNorm = await uploads.norm("finalNorm", spec.norm);
  const embedding = await Embedding.create(gpu, { w, positions }, spec.embeddingScale ?? 1);
  return {
    embedding: uploads.owned.keep(embedding),
    blocks,
    finalNorm,
    classifier: uploads.owned.keep(new Linear(gpu, "classifier", { w: classifier })),
    weightBytes: blocks.reduce((sum, block) => sum + block.weightBytes, 0) +
      w.bytes + (positions?.bytes ?? 0) + (own ? classifier.bytes : 0) + finalNorm.bytes,
  };
}

/** A windowed layer keeps what it sees and what comes in at once, where that is less than all tokens. */
function cacheOptions(
  { rope, window: own = Infinity }: DecoderLayer,
  { maxTokens, maxSeqLen, sinks = 0, kvDtype, window: asked = Infinity }: FilledOptions,
): Omit<RingKvCacheOptions, "numKvHeads" | "headDim"> {
  const window = Math.min(own, asked);
  if (sinks + window >= maxTokens) return { capacity: maxTokens, kvDtype, rope };
  const capacity = sinks + window + maxSeqLen - 1;
  return capacity < maxTokens
    ? { capacity, window, sinks, maxSeqLen, kvDtype, rope }
    : { capacity: maxTokens, window, sinks, overflow: "error", kvDtype, rope };
}
