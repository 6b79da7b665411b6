/** The form in which a layer of latent attention computes new tokens. */

/**
 * The form of latent attention. `"absorbed"`: queries take in the matrix that makes keys of latent vectors, and all heads
 * read one latent key and value. `"expanded"`: keys and values are made for each head, as in training.
 */
export type LatentForm = "absorbed" | "expanded";

/** The sizes that decide between the forms. */
export interface LatentShape {
  /** Query heads. */
  numHeads: number;
  /** Elements of a query and a key of a head without positions. */
  nopeDim: number;
  /** Elements of a rotary query and key. */
  ropeDim: number;
  /** Elements of a value of a head. */
  valueDim: number;
  /** Elements of a latent vector. */
  rank: number;
}

/** The tokens of a step. */
export interface LatentStep {
  /** New tokens of each sequence. */
  seqLen: number;
  /** Tokens of each sequence, the new ones included. */
  contextLen: number;
}

/** The form that is chosen, and the reason for it. */
export interface LatentPlan {
  /** The form. */
  form: LatentForm;
  /** Why: a request, older tokens, or the operations of both. */
  reason: string;
  /** Operations of each form for a sequence, a multiply-add being two. */
  operations: Record<LatentForm, number>;
}

/**
 * Chooses the form with fewer operations. The expanded form is for new tokens that are the whole context: of older ones the
 * cache has latent vectors alone.
 */
export function planLatent(shape: LatentShape, step: LatentStep): LatentPlan {
  const { numHeads, nopeDim, ropeDim, valueDim, rank } = shape;
  const { seqLen, contextLen } = step;
  // A query sees its own token and those before it.
  const pairs = seqLen * (contextLen - (seqLen - 1) / 2);
  const expandedDim = nopeDim + ropeDim + valueDim;
  const operations = {
    absorbed: 2 * numHeads * (seqLen * rank * (nopeDim + valueDim) + pairs * (2 * rank + ropeDim)),
    expanded: 2 * numHeads * (seqLen * (rank + ropeDim) * expandedDim + pairs * expandedDim),
  };
  if (contextLen > seqLen) {
    const reason = `${contextLen - seqLen} older tokens are there as latent vectors alone`;
    return { form: "absorbed", reason, operations };
  }
  const [form, other] = operations.expanded < operations.absorbed
    ? ["expanded", "absorbed"] as const
    : ["absorbed", "expanded"] as const;
  const [own, others] = [operations[form], operations[other]].map((n) => n.toLocaleString("en-US"));
  return { form, reason: `${own} operations instead of ${others}`, operations };
}
