/** Cutting keys and values over buffers, where one storage binding cannot hold them. */
import { sentence } from "../base/check.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import type { PageLayout } from "./cache_spec.ts";
import type { KvShape } from "./kv_shape.ts";
import { rowBytes } from "../tensor/dtype.ts";

/** Neighbouring KV heads whose keys and values share a buffer. Heads are numbered as in [B, numKvHeads]. */
export interface HeadRange {
  /** First of them. */
  firstHead: number;
  /** Their number. */
  numHeads: number;
}

/** More buffers of keys than any device has the memory for; each is a dispatch of every append and attention. */
const MOST_PARTS = 1024;
/** Kernels count heads in 32 bits. */
const MOST_HEADS = 2 ** 32 - 1;

/** The shape that is cut: all pages of a pool are one long sequence. */
export function partedShape<Shape extends KvShape & { pages?: PageLayout }>(shape: Shape): Shape {
  const { pages } = shape;
  return pages ? { ...shape, batch: 1, capacity: pages.size * pages.count } : shape;
}

/**
 * Cuts the KV heads of all sequences into as few parts as fit one storage binding each, alike for keys and values. Throws a
 * `RangeError` where a head does not fit, or the parts are more than 1024.
 *
 * Both a cache and the plan of an attention over it are cut by this, so that they agree.
 */
export function headParts(action: string, shape: KvShape, limits: PlanLimits): HeadRange[] {
  const { batch, numKvHeads, capacity, headDim, valueDim, kvDtype } = shape;
  const { maxStorageBufferBindingSize } = limits;
  const headBytes = capacity * rowBytes(Math.max(headDim, valueDim), kvDtype);
  if (headBytes > maxStorageBufferBindingSize) {
    throw new RangeError(
      sentence(
        action,
        "one KV head of one sequence must fit one storage binding (lower capacity, or use a smaller kvDtype)",
        { capacity, headDim, valueDim, kvDtype, headBytes, maxStorageBufferBindingSize },
      ),
    );
  }
  const heads = batch * numKvHeads;
  const numParts = Math.ceil(heads / Math.floor(maxStorageBufferBindingSize / headBytes));
  if (numParts > MOST_PARTS || heads > MOST_HEADS) {
    throw new RangeError(
      sentence(
        action,
        `keys must fit ${MOST_PARTS} storage bindings (use fewer sequences and heads, or a smaller capacity)`,
        { batch, numKvHeads, headBytes, bindings: numParts, maxStorageBufferBindingSize },
      ),
    );
  }
  const perPart = Math.ceil(heads / numParts);
  return Array.from({ length: Math.ceil(heads / perPart) }, (_, i) => ({
    firstHead: i * perPart,
    numHeads: Math.min(perPart, heads - i * perPart),
  }));
}
