/** The interface of every system whose gradients are measured. */

/** Causal attention over one sequence, and its gradients by queries, keys and values. */
export interface GradientCase {
  tokens: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
}

/** The inputs, row-major: q and dO [tokens, numHeads, headDim], k and v [tokens, numKvHeads, headDim]. */
export type GradientInputs = Readonly<Record<"q" | "k" | "v" | "dO", Float32Array>>;

/** Gradients, each shaped as what it is by. */
export type Gradients = Readonly<Record<"dq" | "dk" | "dv", ArrayLike<number>>>;

/** Attention and its gradients, ready to run as often as one likes. */
export interface PreparedGradient {
  /** Computes `calls` times forward and backward, and waits once until all of them are done. */
  run(calls: number): Promise<void>;
  /** The gradients of the latest call. */
  gradients(): Promise<Gradients>;
  /** Frees what it holds. */
  destroy(): void | Promise<void>;
}

/** Prepares attention over these inputs, and its gradients. */
export type PrepareGradient = (
  gradientCase: GradientCase,
  inputs: GradientInputs,
) => Promise<PreparedGradient>;

/** Uniform random inputs in [-1, 1). */
export function randomInputs(
  { tokens, numHeads, numKvHeads, headDim }: GradientCase,
): GradientInputs {
  const random = (heads: number) =>
    Float32Array.from({ length: tokens * heads * headDim }, () => 2 * Math.random() - 1);
  const [q, dO] = [random(numHeads), random(numHeads)];
  return { q, k: random(numKvHeads), v: random(numKvHeads), dO };
}
