/** The input of projections that a norm stands before. */
import type { BoundWork } from "../gpu/bound_work.ts";
import type { Owned } from "../gpu/owned.ts";
import { Tensor } from "../tensor/tensor.ts";
import { normalisesInput } from "./linear.ts";
import type { Norm } from "./norm.ts";

/** What a projection reads. */
export interface LinearInput {
  /** f32 [..., width] */
  x: Tensor;
  /** The norm by which the projection normalises `x`. The default is none. */
  norm?: Norm;
}

/** What {@linkcode normedInput} normalises. */
export interface NormedInputOptions {
  numTokens: number;
  /** Whether `y` is to have the rows that are normalised, for other readers. The default is not. */
  keepsRows?: boolean;
}

/** Whether a dispatch of its own writes the rows of `x` that are normalised. */
function writesRows(
  { gpu: { profile } }: Tensor,
  { numTokens, keepsRows = false }: NormedInputOptions,
): boolean {
  return keepsRows || !normalisesInput(profile, numTokens);
}

/** Allocates where the rows of `x` are normalised to, unless nothing is written there: `x` itself; `owned` keeps it. */
export async function normedRows(
  owned: Owned,
  label: string,
  x: Tensor,
  options: NormedInputOptions,
): Promise<Tensor> {
  return writesRows(x, options) ? owned.keep(await Tensor.empty(x.gpu, x.shape, { label })) : x;
}

/**
 * The rows of `x`, normalised: by the projections that read them, or by a dispatch of its own, to `y`.
 *
 * @returns What projections read, and what runs before them.
 */
export function normedInput(
  norm: Norm,
  { x, y }: { x: Tensor; y: Tensor },
  options: NormedInputOptions,
): { input: LinearInput; before: readonly BoundWork[] } {
  if (!writesRows(x, options)) return { input: { x, norm }, before: [] };
  const written = norm.bind({ x: x.buffer, y: y.buffer }, options.numTokens);
  return { input: { x: y }, before: [written] };
}
