/** The forms of a model's attention that a plan compares. */
import type { CacheShape } from "../../mod.ts";
import { type Model, ownCache } from "../shared/preset.ts";
import { type CacheVariant, variantOf } from "../shared/variant.ts";

/** The model with some number of KV heads, or with keys and values compressed. */
export interface ModelVariant {
  variant: CacheVariant;
  /** "MHA", "GQA-8", "MQA" or "MLA". */
  label: string;
  /** Whether the model was trained so. */
  isOwn: boolean;
  /** Layers and heads. */
  shape: CacheShape & { numHeads: number };
}

/**
 * The variants of a model: MHA first, as the others are held against it.
 *
 * @throws {RangeError} If no number of KV heads divides the heads.
 */
export function variantsOf(model: Model, kvHeads: readonly number[]): ModelVariant[] {
  const dividing = kvHeads.filter((numKvHeads) => model.numHeads % numKvHeads === 0)
    .sort((a, b) => b - a);
  if (dividing.length === 0) {
    throw new RangeError(
      `Cannot plan as KV heads must divide the heads of ${model.name}: current values heads=${model.numHeads}, KV heads=${kvHeads}`,
    );
  }
  const variants = dividing.map((numKvHeads): ModelVariant => {
    const variant = variantOf(model.numHeads, numKvHeads);
    return {
      variant,
      label: variant === "gqa" ? `GQA-${numKvHeads}` : variant.toUpperCase(),
      isOwn: !model.latent && numKvHeads === model.numKvHeads,
      shape: { ...model, numKvHeads },
    };
  });
  if (!model.latent) return variants;
  const shape = { ...ownCache(model), numHeads: model.numHeads };
  return [...variants, { variant: "mla", label: "MLA", isOwn: true, shape }];
}
