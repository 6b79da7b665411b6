/** The weights of a layer's modules, read by their uniform names. */
import type { WeightData } from "./weights.ts";

/** Reads weights that must exist, or may. */
export interface WeightReader {
  read(name: string): Promise<WeightData>;
  optional(name: string): Promise<WeightData | undefined>;
}

/** A projection, with its bias where it has one. */
export async function projectionWeights(reader: WeightReader, name: string) {
  return {
    weight: await reader.read(`${name}.weight`),
    bias: await reader.optional(`${name}.bias`),
  };
}

/** The attention of a layer, with the norms of its heads where it has them. */
export async function attentionWeights(reader: WeightReader, layer: string) {
  return {
    q: await projectionWeights(reader, `${layer}.q`),
    k: await projectionWeights(reader, `${layer}.k`),
    v: await projectionWeights(reader, `${layer}.v`),
    o: await projectionWeights(reader, `${layer}.o`),
    qNorm: await reader.optional(`${layer}.qNorm.weight`),
    kNorm: await reader.optional(`${layer}.kNorm.weight`),
  };
}
