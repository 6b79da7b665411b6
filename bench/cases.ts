/** The cases of the bench, as data: models and options in, groups of comparable cases out. */
import type { Dtype, Implementation, KvDtype } from "../mod.ts";
import { type CacheVariant, variantOf } from "../cli/shared/variant.ts";
import { MODELS, type ModelShape } from "./model_shapes.ts";
import type { Phase, Shape } from "./result.ts";

/** One attention to measure. */
export interface Case extends Shape {
  name: string;
  phase: Phase;
  variant: CacheVariant;
  impl: Implementation;
}

/** Cases that differ in their KV heads, their storage and their implementation only, so that they are timed in turns. */
export type CaseGroup = readonly Case[];

/** A set of query heads and the numbers of KV heads to give it. */
export interface HeadShape {
  name: string;
  numHeads: number;
  headDim: number;
  kvHeads: readonly number[];
  maxContext: number;
  /** Elements of a value that is the first elements of its key, beside the same with values of their own. */
  latentDim?: number;
}

/** The values to combine with each shape. */
export interface CaseOptions {
  phases: readonly Phase[];
  dtypes: readonly Dtype[];
  /** Element types of K and V in storage; that of queries where not given. */
  kvDtypes?: readonly KvDtype[];
  impls: readonly Implementation[];
  batches: readonly number[];
  /** Tokens of the context when decoding. */
  decodeContexts: readonly number[];
  /** Tokens of the context when prefilling. */
  prefillContexts: readonly number[];
  /** New tokens when prefilling; all of the context where not given. */
  prefillSeqLens?: readonly number[];
}

/** The MHA, GQA and MQA variants of a model. */
export function headShapeOf(model: ModelShape): HeadShape {
  const { name, numHeads, headDim, gqaKvHeads, maxContext, latentDim } = model;
  if (latentDim !== undefined) {
    return { name, numHeads, headDim, kvHeads: [1], maxContext, latentDim };
  }
  const kvHeads = gqaKvHeads ? [numHeads, gqaKvHeads, 1] : [numHeads, 1];
  return { name, numHeads, headDim, kvHeads, maxContext };
}

/** The models of these names, upper or lower case; all but those of latent attention where none is named. */
export function findModels(names: readonly string[]): readonly ModelShape[] {
  // Latent attention has as many operations for each byte as prefill has: all contexts of it take long.
  if (names.length === 0) return MODELS.filter(({ latentDim }) => latentDim === undefined);
  return names.map((name) => {
    const model = MODELS.find((model) => model.name.toLowerCase() === name.toLowerCase());
    if (model) return model;
    const known = MODELS.map(({ name }) => name).join(", ");
    throw new RangeError(
      `Cannot run the bench as there is no model "${name}": choose from ${known}`,
    );
  });
}

/** Every group of cases, contexts cut to what each model was trained for. */
export function planCases(shapes: readonly HeadShape[], options: CaseOptions): CaseGroup[] {
  const { phases, dtypes, kvDtypes, impls, batches } = options;
  return shapes.flatMap((shape) =>
    phases.flatMap((phase) =>
      lengths(shape, phase, options).flatMap(({ seqLen, contextLen }) =>
        batches.flatMap((batch) =>
          dtypes.map((dtype) =>
            variantsOf(shape).flatMap((variant) =>
              impls.flatMap((impl) =>
                (kvDtypes ?? [dtype]).map((kvDtype) => ({
                  name: shape.name,
                  phase,
                  ...variant,
                  impl,
                  dtype,
                  ...(kvDtype === dtype ? {} : { kvDtype }),
                  batch,
                  numHeads: shape.numHeads,
                  headDim: shape.headDim,
                  seqLen,
                  contextLen,
                }))
              )
            )
          )
        )
      )
    )
  );
}

/** The keys and values of a shape: more or fewer heads of them, or values apart from keys and within them. */
function variantsOf(
  { numHeads, kvHeads, latentDim: valueDim }: HeadShape,
): Pick<Case, "variant" | "numKvHeads" | "valueDim" | "valuesAre">[] {
  if (valueDim === undefined) {
    return kvHeads.map((numKvHeads) => ({ variant: variantOf(numHeads, numKvHeads), numKvHeads }));
  }
  return [
    { variant: "mqa", numKvHeads: 1, valueDim },
    { variant: "mla", numKvHeads: 1, valueDim, valuesAre: "keys" },
  ];
}

function lengths(
  { maxContext }: HeadShape,
  phase: Phase,
  { decodeContexts, prefillContexts, prefillSeqLens }: CaseOptions,
): { seqLen: number; contextLen: number }[] {
  const contexts = phase === "decode" ? decodeContexts : prefillContexts;
  const distinct = new Set(contexts.map((context) => Math.min(context, maxContext)));
  return [...distinct].flatMap((contextLen) => {
    const seqLens = phase === "decode" ? [1] : prefillSeqLens ?? [contextLen];
    return seqLens.map((seqLen) => {
      if (seqLen <= contextLen) return { seqLen, contextLen };
      throw new RangeError(
        `Cannot run the bench as new tokens are part of the context: current values seq=${seqLen}, context=${contextLen}`,
      );
    });
  });
}
