import { joinQkv } from "../../layer/qkv_weights.ts";
import { type Component, componentShapes } from "../../model/weight_shapes.ts";
import type { DecoderWeights } from "../../model/weights.ts";
import type { Family } from "../family.ts";
import { CLASSIFIER } from "../vocabulary_matrices.ts";

/** A tensor that is to be written. */
export interface NamedTensor {
  name: string;
  shape: readonly number[];
  /** Reads its numbers. */
  read(): Promise<Float32Array>;
}

/** The weights of a decoder as tensors of a family: what `familyWeights` undoes. */
export function familyTensors(
  { spec, prefixes, tensors, biased, addsOneToNorms }: Family,
  weights: DecoderWeights,
): NamedTensor[] {
  const [prefix] = prefixes;
  const shapes = componentShapes(spec);

  const tensorsOf = (component: Component, module: string, layer = ""): NamedTensor[] => {
    const isNorm = component.endsWith("Norm");
    const hasBias = biased.includes(component) || (isNorm && spec.norm.kind === "layer");
    return (hasBias ? ["weight", "bias"] : ["weight"]).map((kind) => ({
      name: `${module}.${kind}`,
      shape: kind === "weight" ? shapes[component] : shapes[component].slice(0, 1),
      read: async () => {
        const weight = async (component: Component) =>
          (await weights.read(`${layer}${component}.${kind}`)).data;
        if (component === "qkv") {
          const parts = { q: await weight("q"), k: await weight("k"), v: await weight("v") };
          return joinQkv(parts, { ...spec, arrangement: "interleaved" });
        }
        const data = await weight(component);
        return isNorm && addsOneToNorms ? data.map((value) => value - 1) : data;
      },
    }));
  };

  const all = (Object.entries(tensors) as [Component, string][]).flatMap(([component, name]) =>
    name.includes(".N.")
      ? spec.layers.flatMap((_, layer) =>
        tensorsOf(component, prefix + name.replace(".N.", `.${layer}.`), `layers.${layer}.`)
      )
      : tensorsOf(component, prefix + name)
  );
  return weights.has("classifier.weight") ? [...all, ...tensorsOf("classifier", CLASSIFIER)] : all;
}
