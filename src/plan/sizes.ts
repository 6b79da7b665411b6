import { checkChoice, checkGroups, copyShape, sentence } from "../base/check.ts";
import { type Layout, LAYOUTS } from "../tensor/layout.ts";

/** Sizes that the tensors of an attention agree on. */
export interface AttentionSizes {
  batch: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  valueDim: number;
  seqLen: number;
  contextLen: number;
}

/** Reads the sizes of an attention off the shapes of its inputs, and throws if these do not agree. */
export function sizesOf(
  inputs: Record<"q" | "k" | "v", { shape: readonly number[] }>,
  layout: Layout = "BSNH",
): AttentionSizes {
  const action = "attend";
  checkChoice(action, "layout", layout, LAYOUTS);
  const [q, k, v] = (["q", "k", "v"] as const).map((name) => {
    const shape = inputs[name]?.shape;
    if (shape?.length !== 4) {
      throw new TypeError(sentence(action, `${name} must have the four axes ${layout}`, { shape }));
    }
    return copyShape(action, `${name}.shape`, shape);
  });
  const [tokens, heads] = layout === "BSNH" ? [1, 2] : [2, 1];
  const agrees = q[0] === k[0] && k[0] === v[0] && k[1] === v[1] && k[2] === v[2] && q[3] === k[3];
  if (!agrees) {
    throw new RangeError(
      sentence(action, `the shapes of q, k and v must agree in ${layout}`, { q, k, v }),
    );
  }
  checkGroups(action, { numHeads: q[heads], numKvHeads: k[heads] });
  return {
    batch: q[0],
    numHeads: q[heads],
    numKvHeads: k[heads],
    headDim: q[3],
    valueDim: v[3],
    seqLen: q[tokens],
    contextLen: k[tokens],
  };
}
