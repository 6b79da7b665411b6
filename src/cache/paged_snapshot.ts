/**
 * The format of saved sequences in pages: a header with the shape of the pool, the options of the cache, and of each sequence
 * its length and its pages; and the rows of the pages, each once: by layer, keys before values, by head and page.
 *
 * Rotary positions are one object where those of all layers are alike, and a list by layer, with null for none, where not.
 * Pages are numbered in the order in which sequences have them.
 */
import { checkInteger } from "../base/check.ts";
import { pagesBytes } from "./page_rows.ts";
import type { PoolShape } from "./page_pool.ts";
import { type FilledPagedOptions, fillInPaged, type PagedKvCacheOptions } from "./paged_options.ts";
import type { KeptTokens } from "./ring_rules.ts";
import {
  checkNames,
  checkRopeNames,
  failSnapshot,
  openBytes,
  packBytes,
  type SnapshotFormat,
} from "./snapshot_bytes.ts";

/** A sequence of a snapshot. */
export interface SavedSequence extends KeptTokens {
  /** The numbers of its pages within the snapshot, in the order of their tokens; null where one was given back. */
  pages: readonly (number | null)[];
}

/** A cache on the host. */
export interface PagedSnapshot {
  options: FilledPagedOptions;
  sequences: readonly SavedSequence[];
  /** Pages of all sequences. */
  numPages: number;
  /** Rows of keys and values. */
  rows: Uint8Array;
}

const ACTION = "restore PagedKvCache";
const FORMAT: SnapshotFormat = { action: ACTION, kind: 1, version: 1 };

/** The bytes of a snapshot. */
export async function packPagedSnapshot(
  pool: PoolShape,
  options: FilledPagedOptions,
  sequences: readonly SavedSequence[],
  rows: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const header = { pool: savedShape(pool), options: savedOptions(options), sequences };
  return await packBytes(FORMAT, header, rows);
}

/**
 * Reads the bytes of a snapshot, for a pool. Throws a `SnapshotError` unless every one of them is as it was packed, the pool
 * has the shape of the one before, and together they are a state that a cache can have, with the rows of its pages.
 */
export async function openPagedSnapshot(
  given: Uint8Array,
  pool: PoolShape,
): Promise<PagedSnapshot> {
  const snapshot = await openBytes(FORMAT, given, (header) => {
    checkNames(ACTION, "header", header, ["pool", "options", "sequences"]);
    checkShape(header.pool, pool);
    const options = readOptions(header.options, pool);
    return { options, ...readSequences(header.sequences, options, pool.pages.size) };
  });
  const { numPages, rows } = snapshot;
  const needed = pagesBytes(pool, numPages);
  if (rows.length !== needed) {
    const values = { bytes: rows.length, needed };
    failSnapshot(ACTION, "the snapshot must hold the rows of its pages", values);
  }
  return snapshot;
}

/** The fields of a pool that decide how rows lie in pages. */
function savedShape({ pages, ...shape }: PoolShape): Record<string, unknown> {
  return { ...shape, pageSize: pages.size };
}

function checkShape(saved: unknown, pool: PoolShape): void {
  const own = savedShape(pool);
  checkNames(ACTION, "pool", saved, Object.keys(own));
  for (const [name, value] of Object.entries(own)) {
    if (saved[name] === value) continue;
    failSnapshot(ACTION, "the pool must have the shape of the one that was saved", {
      [`snapshot.${name}`]: saved[name],
      [`pool.${name}`]: value,
    });
  }
}

function savedOptions({ ropes, ...options }: FilledPagedOptions): Record<string, unknown> {
  const isAlike = new Set(ropes.map((rope) => JSON.stringify(rope))).size === 1;
  return { ...options, rope: isAlike ? ropes[0] : ropes };
}

function readOptions(saved: unknown, pool: PoolShape): FilledPagedOptions {
  const required = ["batch", "capacity", "sinks", "maxSeqLen"];
  const optional = ["window", "rope", "kvCalibration", "kvRotation"];
  checkNames(ACTION, "options", saved, required, optional);
  const given = { ...saved, rope: readRope(saved.rope) };
  return fillInPaged(ACTION, given as unknown as PagedKvCacheOptions, pool);
}

/** Rotary positions as options have them, once the fields of each are known. */
function readRope(saved: unknown): unknown {
  if (!Array.isArray(saved)) {
    checkRopeNames(ACTION, saved);
    return saved;
  }
  return saved.map((one: unknown, layer) => {
    if (one === null) return undefined;
    checkRopeNames(ACTION, one, `options.rope[${layer}]`);
    return one;
  });
}

function readSequences(
  saved: unknown,
  options: FilledPagedOptions,
  pageSize: number,
): Pick<PagedSnapshot, "sequences" | "numPages"> {
  const { batch } = options;
  if (!Array.isArray(saved) || saved.length !== batch) {
    const rule = "sequences must have an entry for each sequence";
    return failSnapshot(ACTION, rule, { sequences: saved, batch });
  }
  /** The place of each page in its sequences. */
  const places: number[] = [];
  const sequences = saved.map((one: unknown, sequence) => {
    checkNames(ACTION, `sequences[${sequence}]`, one, ["oldest", "length", "pages"]);
    const { oldest, length, pages } = one as unknown as SavedSequence;
    checkKeptPages(`restore sequence ${sequence} of PagedKvCache`, { oldest, length }, {
      ...{ options, pageSize },
    });
    const wanted = Math.ceil(length / pageSize);
    if (!Array.isArray(pages) || pages.length !== wanted) {
      const values = { sequence, pages, wanted };
      return failSnapshot(ACTION, "a sequence must have the pages of its tokens", values);
    }
    pages.forEach((page: unknown, place) => {
      const isGone = place >= Math.ceil(options.sinks / pageSize) && place < oldest / pageSize;
      const isNext = page === places.length;
      const isShared = typeof page === "number" && places[page] === place;
      if (isGone ? page === null : isNext || isShared) {
        if (isNext) places.push(place);
        return;
      }
      failSnapshot(ACTION, "pages must be numbered in the order in which sequences have them", {
        ...{ sequence, place, page, oldest },
      });
    });
    return { oldest, length, pages: [...pages] };
  });
  return { sequences, numPages: places.length };
}

/** Throws unless extending and truncating can have led to these tokens. */
function checkKeptPages(
  action: string,
  { oldest, length }: KeptTokens,
  { options, pageSize }: { options: FilledPagedOptions; pageSize: number },
): void {
  checkInteger(action, "length", length, 0);
  checkInteger(action, "oldest", oldest, 0);
  const { capacity, sinks, window } = options;
  const values = { length, oldest, capacity, sinks, window, pageSize };
  if (length > capacity) failSnapshot(action, "a sequence must fit the capacity", values);
  if (oldest === 0) return;
  const isPassed = window !== undefined && oldest <= length + 1 - window;
  if (!isPassed || oldest % pageSize !== 0 || oldest <= Math.ceil(sinks / pageSize) * pageSize) {
    failSnapshot(action, "the oldest token must be the first of a page behind the window", values);
  }
}
