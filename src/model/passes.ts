/** The work of a model over a number of tokens, whatever caches they go into. */
import { once } from "../base/once.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import type { Owned } from "../gpu/owned.ts";
import type { NormedLayerTensors } from "../layer/attention_projections.ts";
import { normedInput, normedRows } from "../layer/linear_input.ts";
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
  attend(layer: number, tensors: NormedLayerTensors): Promise<BoundWork>;
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

/** Allocates the output of the final norm of a residual stream [1, tokens, dim]; `owned` keeps it. */
export function finalNormRows(owned: Owned, h: Tensor): Promise<Tensor> {
  return normedRows(owned, "final norm", h, { numTokens: h.shape[1] });
}

/** Binds the final norm and the classifier, from the first rows of a residual stream to those of logits. */
export async function bindHead(
  { finalNorm, classifier }: Model,
  { h, normed, logits }: Record<"h" | "normed" | "logits", Tensor>,
  numTokens: number,
): Promise<BoundWork> {
  const rows = { x: h, y: normed };
  const { input: { x, norm }, before } = normedInput(finalNorm, rows, { numTokens });
  const buffers = { x: x.buffer, y: logits.buffer };
  return inSequence([...before, await classifier.bind(buffers, numTokens, "y", norm)]);
}

/** The final norm and the classifier over a number of tokens. */
export interface Head {
  /** f32 [tokens, vocabSize] */
  logits: Tensor;
  /** From the residual stream of the same number of tokens to `logits`. */
  work: BoundWork;
}

/** Heads over the tokens of one sequence, each bound once for its number of tokens. */
export class Heads {
  readonly #model: Model;
  readonly #owned: Owned;
  /** Those of one token. */
  readonly #logits: Tensor;
  readonly #heads = new Map<number, Promise<Head>>();

  /** `owned` keeps the logits of more than one token. */
  constructor(model: Model, owned: Owned, logits: Tensor) {
    this.#model = model;
    this.#owned = owned;
    this.#logits = logits;
  }

  /** The head over the residual stream [1, tokens, dim], which is the same for each number of tokens. */
  of(h: Tensor): Promise<Head> {
    const [, seqLen] = h.shape;
    return once(this.#heads, seqLen, async () => {
      const { gpu, spec: { vocabSize } } = this.#model;
      const logits = seqLen === 1
        ? this.#logits
        : this.#owned.keep(await Tensor.empty(gpu, [seqLen, vocabSize], { label: "logits" }));
      const normed = await finalNormRows(this.#owned, h);
      return { logits, work: await bindHead(this.#model, { h, normed, logits }, seqLen) };
    });
  }
}
