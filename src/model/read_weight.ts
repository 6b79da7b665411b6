import { checkHostTensor } from "../tensor/tensor.ts";
import type { DecoderWeights, WeightData } from "./weights.ts";

/** Reads a weight that must exist; throws unless it has its shape, and numbers. */
export async function readWeight(
  action: string,
  weights: DecoderWeights,
  { name, shape }: { name: string; shape: readonly number[] },
): Promise<WeightData> {
  const weight = await weights.read(name);
  checkHostTensor(action, name, weight, shape);
  return weight;
}
