/** The input of projections that a norm stands before. */
import type { BoundWork } from "../gpu/bound_work.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { normalisesInput } from "./linear.ts";
import type { Norm } from "./norm.ts";

/** What a projection reads. */
export interface LinearInput {
  /** f32 [..., width] */
  x: Tensor;
  /** The norm by which the projection normalises `x`. The default is none. */
  norm?: Norm;
}

/** Options of {@linkcode normedInput}. */
export interface NormedInputOptions {
  numTokens: number;
  /** Whether `y` is to have the rows that are normalised, for other readers. The default is not. */
  keepsRows?: boolean;
}

/**
 * The rows of `x`, normalised: by the projections that read them, or by a dispatch of its own, to `y`.
 *
 * @returns What projections read, and what runs before them.
 */
export function normedInput(
  norm: Norm,
  { x, y }: { x: Tensor; y: Tensor },
  { numTokens, keepsRows = false }: NormedInputOptions,
): { input: LinearInput; before: readonly BoundWork[] } {
  if (!keepsRows && normalisesInput(numTokens)) return { input: { x, norm }, before: [] };
  return { input: { x: y }, before: [norm.bind({ x: x.buffer, y: y.buffer }, numTokens)] };
}
