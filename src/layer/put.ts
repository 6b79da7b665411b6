/** Where kernels of rows write their outputs. */
import * as wgsl from "../../kernels/mod.ts";
import type { WgslPiece } from "../gpu/compose.ts";

/** Part of each head of `y` [rows, heads, width]: as many elements as a row has for a head, from the first on. */
export interface HeadTarget {
  heads: number;
  first: number;
  width: number;
}

/**
 * Where outputs go: to `y`, to the sum of it and `y`, to `y` as the sum of it and `residual`, cut into `q`, `k` and `v`, or to a
 * part of each head of `y`.
 */
export type LinearTarget = "y" | "sum" | "added" | { qWidth: number; kvWidth: number } | HeadTarget;

/** Where rows that are normalised go: to `y`, to the sum of them and `y`, or to a part of each head of `y`. */
export type NormTarget = "y" | "sum" | HeadTarget;

/** Declares `put`, which writes an output of a row of `width`. */
export function putPiece(target: LinearTarget, width: number): WgslPiece {
  if (typeof target === "string") {
    return { constants: { WIDTH: width }, fragments: [wgsl.put[target]] };
  }
  if ("heads" in target) {
    return { constants: headConstants(target, width), fragments: [wgsl.put.heads] };
  }
  const constants = { Q_WIDTH: target.qWidth, KV_WIDTH: target.kvWidth };
  return { constants, fragments: [wgsl.put.qkv] };
}

/** Declares `putPack`, which writes a pack of a row of `width`. */
export function putPackPiece(target: NormTarget, width: number): WgslPiece {
  return typeof target === "string"
    ? { fragments: [wgsl.putPack[target]] }
    : { constants: headConstants(target, width), fragments: [wgsl.putPack.heads] };
}

function headConstants(
  { heads: HEADS, first: HEAD_FIRST, width: HEAD_WIDTH }: HeadTarget,
  width: number,
) {
  return { HEADS, HEAD_FIRST, HEAD_WIDTH, HEAD_ROWS: width / HEADS };
}
