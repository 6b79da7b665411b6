/** Attention shapes of real models, each compared as MHA, GQA and MQA of the same query heads. */
import { MODELS as PRESETS } from "../cli/shared/presets.ts";

export interface ModelShape {
  name: string;
  numHeads: number;
  headDim: number;
  /** KV heads of the grouped variant: the model's own where it has groups; none where the heads do not divide. */
  gqaKvHeads?: number;
  /** Longest context that the model was trained for. */
  maxContext: number;
  /** Elements of a latent vector, which is the value of all heads, where keys and values are compressed. */
  latentDim?: number;
}

export const MODELS: readonly ModelShape[] = [
  shapeOf("LLaMA-2-7B", { gqaKvHeads: 8 }),
  shapeOf("LLaMA-2-70B"),
  // As its paper has it; its configuration says four times as much.
  shapeOf("Mistral-7B", { maxContext: 8192 }),
  shapeOf("StarCoder-15B", { name: "StarCoder", gqaKvHeads: 8 }),
  shapeOf("Falcon-7B"),
  shapeOf("Gemma-2B", { gqaKvHeads: 2 }),
  shapeOf("Gemma-3-1B", { gqaKvHeads: 2 }),
  shapeOf("PaLM-8B", { gqaKvHeads: 4 }),
  shapeOf("GPT-2", { gqaKvHeads: 4 }),
  latentShapeOf("DeepSeek-V3"),
  // arXiv 1911.02150
  { name: "Shazeer-2019", numHeads: 8, headDim: 128, gqaKvHeads: 2, maxContext: 128 },
];

/** A preset of the planner, with what the bench takes otherwise. */
function shapeOf(preset: string, others: Partial<ModelShape> = {}): ModelShape {
  const model = PRESETS.find(({ name }) => name === preset)!;
  const { name, numHeads, numKvHeads, headDim, maxContext = Infinity } = model;
  const hasGroups = numKvHeads > 1 && numKvHeads < numHeads;
  const gqaKvHeads = hasGroups ? numKvHeads : undefined;
  return { name, numHeads, headDim, gqaKvHeads, maxContext, ...others };
}

/** A preset with latent attention in its absorbed form: all heads read one row of a token. */
function latentShapeOf(preset: string): ModelShape {
  const { name, numHeads, latent, maxContext = Infinity } = PRESETS.find(({ name }) =>
    name === preset
  )!;
  const { rank, ropeDim } = latent!;
  return { name, numHeads, headDim: rank + ropeDim, latentDim: rank, maxContext };
}
