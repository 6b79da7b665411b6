/** The weights of a decoder on the device, whoever runs sequences through them. */
import { checkChoice, checkFunction, checkInteger, checkObject, sentence } from "../base/check.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { Linear } from "../layer/linear.ts";
import type { Norm } from "../layer/norm.ts";
import { KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import { Block } from "./block.ts";
import { Embedding } from "./embedding.ts";
import { Uploads } from "./uploads.ts";
import { checkSpec, checkWeights } from "./check_spec.ts";
import type { DecoderSpec } from "./spec.ts";
import type { DecoderWeights } from "./weights.ts";

/** Options of a model on the device. */
export interface ModelOptions {
  /** Tokens of the longest sequence. The default is the spec's `contextLen`. */
  maxTokens?: number;
  /** Element type of matrices; integers have a step for each output. The default is `"f32"`. */
  weightDtype?: KvDtype;
  /** Called with the number of layers uploaded so far. */
  progress?: (done: number, of: number) => void;
}

/** The modules that {@linkcode Model.create} uploads. */
interface ModelModules {
  embedding: Embedding;
  blocks: readonly Block[];
  finalNorm: Norm;
  classifier: Linear;
  weightBytes: number;
}

/** The modules of a decoder, from tokens to logits. */
export class Model {
  readonly gpu: Gpu;
  readonly spec: DecoderSpec;
  /** Tokens of the longest sequence. */
  readonly maxTokens: number;
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
    maxTokens: number,
    owned: Owned,
    modules: ModelModules,
  ) {
    this.gpu = gpu;
    this.spec = spec;
    this.maxTokens = maxTokens;
    this.#owned = owned;
    this.embedding = modules.embedding;
    this.blocks = modules.blocks;
    this.finalNorm = modules.finalNorm;
    this.classifier = modules.classifier;
    this.weightBytes = modules.weightBytes;
  }

  /** Uploads the weights, one at a time; `action` is what cannot be done where something is wrong: "create Decoder". */
  static async create(
    action: string,
    gpu: Gpu,
    spec: DecoderSpec,
    weights: DecoderWeights,
    options: ModelOptions,
  ): Promise<Model> {
    checkGpu(action, gpu);
    checkObject(action, "options", options);
    checkWeights(action, weights);
    checkSpec(action, spec);
    const filled = fillIn(action, spec, weights, options);
    return await Owned.make(async (owned) => {
      const uploads = new Uploads(action, gpu, owned, { spec, weights });
      const modules = await upload(gpu, spec, uploads, filled);
      return new Model(gpu, spec, filled.maxTokens, owned, modules);
    });
  }

  destroy(): void {
    this.#owned.destroy();
  }
}

/** Checks options and fills in their defaults. */
function fillIn(
  action: string,
  spec: DecoderSpec,
  weights: DecoderWeights,
  options: ModelOptions,
) {
  const { maxTokens = spec.contextLen, weightDtype = "f32", progress } = options;
  checkInteger(action, "maxTokens", maxTokens);
  checkInteger(action, "layers", spec.layers.length);
  const positionsEnd = spec.positionsEnd || weights.has("positions.weight");
  if (positionsEnd && maxTokens > spec.contextLen) {
    throw new RangeError(
      sentence(action, "the model's positions end with contextLen", {
        maxTokens,
        contextLen: spec.contextLen,
      }),
    );
  }
  checkChoice(action, "weightDtype", weightDtype, KV_DTYPES);
  if (progress !== undefined) checkFunction(action, "progress", progress);
  return { maxTokens, weightDtype, progress };
}

async function upload(
  gpu: Gpu,
  spec: DecoderSpec,
  uploads: Uploads,
  { weightDtype, progress }: ReturnType<typeof fillIn>,
): Promise<ModelModules> {
  const w = await uploads.matrix("embedding", await uploads.read("embedding.weight"), weightDtype);
  const learned = await uploads.optional("positions.weight");
  const positions = learned && await uploads.tensor("positions", learned);
  const blocks: Block[] = [];
  for (const i of spec.layers.keys()) {
    blocks.push(await Block.create(gpu, spec, uploads, { name: `layers.${i}`, weightDtype }));
    progress?.(i + 1, spec.layers.length);
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
