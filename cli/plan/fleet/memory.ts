/** The pages that a replica has, and the shards that it needs. */
import { type CacheShape, kvCacheBytes, type KvDtype } from "../../../mod.ts";
import { sentence } from "../../../src/base/check.ts";

/** What errors say cannot be done. */
export const ACTION = "plan a fleet";
/** Tokens of a page: as of a batch. */
export const PAGE_SIZE = 16;

/** The memory of a replica, and what it is for. */
export interface ReplicaMemory {
  shape: CacheShape;
  dtype: KvDtype;
  /** Bytes of a GPU, and those that the weights and activations leave of the one that has them. */
  memoryBytes: number;
  freeBytes: number;
  /** Tokens of the longest sequence. */
  longest: number;
  /** Most sequences that run together. */
  sequences: number;
}

/** The pages of a replica. */
export interface ReplicaPages {
  /** As many as fit beside the weights. */
  fitting: number;
  /** GPUs beside it that the longest sequence's pages are divided over; 0 where they fit beside the weights. */
  shards: number;
  /** Pages of the batch: those that fit, or all that its sequences need. */
  total: number;
}

/**
 * Counts the pages: each has a row of every layer, as windows are not given back unless all layers have one.
 *
 * @throws {RangeError} If a GPU does not hold a page.
 */
export function pagesOf(
  { shape, dtype, memoryBytes, freeBytes, longest, sequences }: ReplicaMemory,
): ReplicaPages {
  const pageBytes = kvCacheBytes(
    { ...shape, windowed: undefined },
    { contextLen: PAGE_SIZE, dtype },
  );
  const fitting = Math.floor(freeBytes / pageBytes);
  const needed = Math.ceil(longest / PAGE_SIZE);
  if (needed <= fitting) {
    return { fitting, shards: 0, total: Math.min(fitting, sequences * needed) };
  }
  const ofShard = Math.floor(memoryBytes / pageBytes);
  if (ofShard === 0) {
    const rule = "a GPU's memory must hold a page of the cache (give more --memory)";
    throw new RangeError(sentence(ACTION, rule, { memoryBytes, pageBytes }));
  }
  return { fitting, shards: Math.ceil(needed / ofShard), total: needed };
}
