/** New keys and values, as every cache takes them. */
import { checkArray, checkInteger, checkObject, sentence } from "../base/check.ts";
import { checkApart } from "../gpu/apart.ts";
import type { WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { Kernel } from "../gpu/kernel.ts";
import { type Layout, rowStrides, shapeIn } from "../tensor/layout.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import type { CacheSpec } from "./cache_spec.ts";
import { tensorsOf } from "./kv_memory.ts";
import { checkNoValues, storedRows } from "./kv_shape.ts";
import type { KvView } from "./kv_view.ts";

/** New keys and values. */
export interface NewTokens {
  /** Keys [B, S, numKvHeads, headDim] (or [B, numKvHeads, S, headDim] in layout `"BNSH"`). */
  k: Tensor;
  /** Values [B, S, numKvHeads, valueDim] (or [B, numKvHeads, S, valueDim]); none where values are keys. */
  v?: Tensor;
  /**
   * The number of the S tokens that each sequence takes [B], from its first: 0 to S. The default is all of them. Queries
   * of an attention are the last tokens of each sequence all the same: put those of a sequence that took n tokens into the
   * last n rows of q.
   */
  lengths?: readonly number[];
}

/**
 * How the new tokens of sequences lie: `"padded"`, as many rows for each sequence, [B, S, ...]; or `"ragged"`, those of all
 * sequences end to end, [tokens, ...], which sequences in pages can have.
 */
export type Arrangement = "padded" | "ragged";

/** Rows of queries, keys or values on the device, of sequences or of all of them end to end. */
export interface NewRows {
  arrangement: Arrangement;
  /** Rows of a head, of each sequence or in all. */
  seqLen: number;
}

/** The buffers of new tokens, and how many tokens they are; no values where they are keys. */
export interface NewBuffers extends NewRows {
  k: GPUBuffer;
  v?: GPUBuffer;
}

/** A copy of {@linkcode NewTokens.lengths}, which the caller cannot change after they were checked. */
export function countsOf(
  action: string,
  lengths: readonly number[],
  { batch, seqLen }: { batch: number; seqLen: number },
): number[] {
  checkArray(action, "lengths", lengths);
  if (lengths.length !== batch) {
    const rule = "lengths must have a number for each sequence";
    throw new RangeError(sentence(action, rule, { lengths, batch }));
  }
  const copy = Array.from({ length: batch }, (_, b): number => lengths[b]);
  copy.forEach((length, b) => {
    checkInteger(action, `lengths[${b}]`, length, 0);
    if (length <= seqLen) return;
    const rule = "a sequence takes at most all new tokens";
    throw new RangeError(sentence(action, rule, { sequence: b, length, seqLen }));
  });
  return copy;
}

/** The rows at which the new tokens of each sequence begin where they lie end to end, and at last their end. */
export function startsOf(counts: readonly number[]): number[] {
  const starts = [0];
  for (const count of counts) starts.push(starts.at(-1)! + count);
  return starts;
}

/** Reads how the rows of a tensor lie, and their numbers, off its shape; a shape that is neither is refused by `checkTensor`. */
export function newRows(
  tensor: Tensor | undefined,
  { layout, pages }: Pick<CacheSpec, "layout" | "pages">,
): NewRows & { numHeads: number } {
  const shape = tensor?.shape ?? [];
  if (pages && shape.length === 3) {
    return { arrangement: "ragged", seqLen: shape[0], numHeads: shape[1] };
  }
  const [seqLen, numHeads] = layout === "BSNH" ? [shape[1], shape[2]] : [shape[2], shape[1]];
  return { arrangement: "padded", seqLen, numHeads };
}

/** The shape of rows. */
export function newShape(
  { arrangement, seqLen }: NewRows,
  { layout, batch }: Pick<CacheSpec, "layout" | "batch">,
  heads: number,
  size: number,
): number[] {
  return arrangement === "ragged"
    ? [seqLen, heads, size]
    : shapeIn(layout, batch, heads, seqLen, size);
}

/** Rows of a head from one batch, head and token to the next; tokens that lie end to end are one batch. */
export function newStrides(
  { arrangement, seqLen }: NewRows,
  layout: Layout,
  heads: number,
): [batch: number, head: number, token: number] {
  return arrangement === "ragged" ? [0, 1, heads] : rowStrides(layout, heads, seqLen);
}

/** Compiles a kernel for each way in which the new tokens of a cache may lie. */
export async function compileArrangements(
  gpu: Gpu,
  { pages }: Pick<CacheSpec, "pages">,
  moduleOf: (arrangement: Arrangement) => WgslModule,
): Promise<Partial<Record<Arrangement, Kernel>>> {
  const [padded, ragged] = await Promise.all([
    Kernel.compile(gpu, moduleOf("padded")),
    pages && Kernel.compile(gpu, moduleOf("ragged")),
  ]);
  return { padded, ragged };
}

/**
 * Reads new keys and values once, and checks them: tensors of the cache's shape, element type and device, in buffers apart
 * from its own.
 */
export function newBuffers(
  action: string,
  tokens: { k: Tensor; v?: Tensor },
  cache: Pick<KvView, "gpu" | "parts" | "lengthsBuffer"> & { spec: CacheSpec },
): NewBuffers {
  checkObject(action, "tokens", tokens);
  const { k, v } = tokens;
  const { gpu, spec, parts, lengthsBuffer } = cache;
  const { numKvHeads, dtype, valuesAre } = spec;
  const { arrangement, seqLen } = newRows(k, spec);
  if (valuesAre === "keys") checkNoValues(action, v);
  for (const [name, size] of storedRows(spec)) {
    const shape = newShape({ arrangement, seqLen }, spec, numKvHeads, size);
    checkTensor(action, name, (name === "k" ? k : v)!, { gpu, shape, dtype });
  }
  const written = [...tensorsOf(parts).map(({ buffer }) => buffer), lengthsBuffer];
  const read = tensorsOf([{ k, v }]).map(({ buffer }) => buffer);
  const rule = "new tokens must have buffers of their own, apart from those of the cache";
  checkApart(action, rule, { written, read }, { k: k.shape, v: v?.shape });
  return { k: k.buffer, v: v?.buffer, arrangement, seqLen };
}
