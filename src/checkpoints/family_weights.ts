import type { DecoderWeights, WeightData } from "../model/weights.ts";
import { splitQkv } from "../layer/qkv_weights.ts";
import { checkpointError, tensorOf } from "./checkpoint_error.ts";
import { FLOAT_TYPES } from "./floats.ts";
import { type Component, componentShapes } from "../model/weight_shapes.ts";
import type { Family } from "./family.ts";
import type { TensorFile } from "./tensor_file.ts";
import { findVocabularyMatrices, type VocabularyMatrices } from "./vocabulary_matrices.ts";

/** Tensors that some programs saved with the weights, and that follow from the configuration: frequencies, angles and masks. */
const BUFFERS = /\.(inv_freq|cos_cached|sin_cached|attn\.bias|attn\.masked_bias)$/;

/** Parts of models that also see, which a decoder of text does without. */
const OTHER_PARTS = /^(model\.)?(vision_tower|multi_modal_projector)\./;

const PROJECTIONS = ["q", "k", "v"] as const;

/** Where a weight comes from. */
interface WeightSource {
  /** The tensor's name in the file. */
  tensor: string;
  /** The weight's shape. */
  shape: readonly number[];
  /** The rows of the tensor that are the weight's, where it is fused with others. */
  fused?: typeof PROJECTIONS[number];
  /** Whether 1 is to be added. */
  addsOne: boolean;
}

/**
 * The weights of a family's checkpoint by their uniform names.
 *
 * @param file The tensors as the family calls them.
 * @param family What they are called.
 * @param warn Told where files contradict each other, and which of them counts.
 * @throws {CheckpointError} If a tensor is missing, of another shape or not of floats, or there is one that has no place.
 */
export async function familyWeights(
  file: TensorFile,
  family: Family,
  warn: (sentence: string) => void,
): Promise<DecoderWeights> {
  const matrices = await findVocabularyMatrices(file, family, warn);
  const sources = findSources(file, family, matrices);
  const read = async (name: string): Promise<WeightData> => {
    const source = sources.get(name);
    if (!source) {
      throw checkpointError(tensorOf(file.name, name), "the decoder has none of that name", {
        weights: [...sources.keys()],
      });
    }
    const { tensor, shape, fused, addsOne } = source;
    let { data } = await file.read(tensor);
    // All families keep the heads of a group together; with one KV head that is the same as one projection after the other.
    if (fused) data = splitQkv(data, { ...family.spec, arrangement: "interleaved" })[fused];
    if (addsOne) data = data.map((difference) => 1 + difference);
    return { data, shape };
  };
  return { has: (name) => sources.has(name), read };
}

/** Finds everything that the family has, and checks it by what the file says of it. */
function findSources(
  file: TensorFile,
  family: Family,
  { prefix, embedding, classifier, twins }: VocabularyMatrices,
): Map<string, WeightSource> {
  const { spec, tensors, biased, addsOneToNorms } = family;
  const shapes = componentShapes(spec);
  const sources = new Map<string, WeightSource>();
  const used = new Set(twins);

  const add = (component: Component, module: string, layer = "") => {
    const isNorm = component.endsWith("Norm");
    const hasBias = biased.includes(component) || (isNorm && spec.norm.kind === "layer");
    for (const kind of hasBias ? ["weight", "bias"] : ["weight"]) {
      const shapeOf = (component: Component) =>
        kind === "weight" ? shapes[component] : shapes[component].slice(0, 1);
      const tensor = `${module}.${kind}`;
      checkTensor(file, tensor, shapeOf(component));
      used.add(tensor);
      if (component !== "qkv") {
        const addsOne = isNorm && addsOneToNorms;
        sources.set(`${layer}${component}.${kind}`, { tensor, shape: shapeOf(component), addsOne });
        continue;
      }
      for (const fused of PROJECTIONS) {
        const shape = shapeOf(fused);
        sources.set(`${layer}${fused}.${kind}`, { tensor, shape, fused, addsOne: false });
      }
    }
  };

  const { embedding: _, ...others } = tensors;
  add("embedding", embedding);
  for (const [component, name] of Object.entries(others) as [Component, string][]) {
    if (name.includes(".N.")) {
      for (let layer = 0; layer < spec.layers.length; layer++) {
        add(component, prefix + name.replace(".N.", `.${layer}.`), `layers.${layer}.`);
      }
    } else add(component, prefix + name);
  }
  if (classifier) add("classifier", classifier);
  checkLeftovers(file, used);
  return sources;
}

function checkTensor(file: TensorFile, tensor: string, shape: readonly number[]): void {
  const found = file.describe(tensor);
  if (!found) {
    throw checkpointError(tensorOf(file.name, tensor), "it is missing", { needed: shape });
  }
  const what = tensorOf(found.file, tensor);
  if (!FLOAT_TYPES.has(found.dtype)) {
    const types = [...FLOAT_TYPES.keys()].join(", ");
    throw checkpointError(what, `its dtype must be ${types} (convert it)`, { dtype: found.dtype });
  }
  if (`${found.shape}` !== `${shape}`) {
    throw checkpointError(what, "its shape must be that of the configuration", {
      ...{ needed: shape, shape: found.shape },
    });
  }
}

/** Every tensor is used, or known to be needless: one that is left out would silently make another model of this one. */
function checkLeftovers(file: TensorFile, used: ReadonlySet<string>): void {
  const leftovers = file.names.filter((name) =>
    !used.has(name) && !BUFFERS.test(name) && !OTHER_PARTS.test(name)
  );
  if (leftovers.length === 0) return;
  const [first, ...others] = leftovers;
  const { file: name, shape } = file.describe(first)!;
  throw checkpointError(
    tensorOf(name, first),
    "the configuration has no place for it, and without it this would be another model (mend config.json, or remove it)",
    { shape, ...(others.length > 0 ? { others } : {}) },
  );
}
