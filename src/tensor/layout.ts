/** Where the axes of a tensor lie. */

/** Order of the axes of tensors: B batch, S tokens, N heads, H head size. */
export type Layout = "BSNH" | "BNSH";

export const LAYOUTS: readonly Layout[] = ["BSNH", "BNSH"];

/** Rows of a head from one batch, head and token to the next. */
export function rowStrides(
  layout: Layout,
  heads: number,
  tokens: number,
): [batch: number, head: number, token: number] {
  return layout === "BSNH" ? [tokens * heads, 1, heads] : [heads * tokens, tokens, 1];
}

/** A shape in a layout. */
export function shapeIn(
  layout: Layout,
  batch: number,
  heads: number,
  tokens: number,
  size: number,
): number[] {
  return layout === "BSNH" ? [batch, tokens, heads, size] : [batch, heads, tokens, size];
}

/** The shape of numbers of each query row, such as log-sum-exps: that of the output without its last axis. */
export function rowShape(layout: Layout, batch: number, heads: number, tokens: number): number[] {
  return shapeIn(layout, batch, heads, tokens, 1).slice(0, -1);
}
