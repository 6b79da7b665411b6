/** The work of a model over a number of tokens, whatever caches they go into. */
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import type { Owned } from "../gpu/owned.ts";
import type { LayerTensors } from "../layer/attention_projections.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { BlockTensors } from "./block.ts";
import type { Model } from "./model.ts";

/** All layers over a number of tokens. */
export interface Pass {
  /** The residual stream [1, tokens, dim]. */
  h: Tensor;
  /** From tokens to `h`. */
  work: BoundWork;
}

/** What a pass takes of the sequences whose tokens it runs. */
export interface PassSequences {
  /** Binds the embeddings of the new tokens, to rows of the residual stream. */
  embed(h: Tensor): Promise<BoundWork>;
  /** Binds the attention of a layer, over its cache. */
  attend(layer: number, tensors: LayerTensors): Promise<BoundWork>;
}

/** Binds all layers over the tokens whose rows the tensors have. */
export async function bindLayers(
  { blocks }: Model,
  sequences: PassSequences,
  tensors: BlockTensors,
): Promise<Pass> {
  const works = [await sequences.embed(tensors.h)];
  for (const [layer, block] of blocks.entries()) {
    works.push(await block.bind(tensors, (bound) => sequences.attend(layer, bound)));
  }
  return { h: tensors.h, work: inSequence(works) };
}

/** Binds the final norm and the classifier, from the first rows of a residual stream to those of logits. */
export async function bindHead(
  { gpu, spec: { dim }, finalNorm, classifier }: Model,
  owned: Owned,
  { h, logits }: { h: Tensor; logits: Tensor },
  numTokens: number,
): Promise<BoundWork> {
  const normed = owned.keep(await Tensor.empty(gpu, [numTokens, dim], { label: "final norm" }));
  return inSequence([
    finalNorm.bind({ x: h.buffer, y: normed.buffer }, numTokens),
    await classifier.bind({ x: normed.buffer, y: logits.buffer }, numTokens),
  ]);
}
