/**
 * The format of a saved ring: a header with the options of the cache and what each sequence keeps, and the rows of the slots
 * that hold tokens: keys, then values, by sequence, head and slot.
 */
import { storedBytes } from "./kv_memory.ts";
import { type FilledRingOptions, fillInRing, type RingKvCacheOptions } from "./ring_options.ts";
import { checkReachable, type KeptTokens, ringRules, storedTokens } from "./ring_rules.ts";
import {
  checkNames,
  checkRopeNames,
  failSnapshot,
  openBytes,
  packBytes,
  type SnapshotFormat,
} from "./snapshot_bytes.ts";

/** A cache on the host. */
export interface Snapshot {
  /** The options that the cache was created with, all filled in. */
  options: FilledRingOptions;
  /** The tokens that each sequence keeps. */
  kept: readonly KeptTokens[];
  /** Rows of keys and values. */
  rows: Uint8Array;
}

const ACTION = "restore RingKvCache";
const FORMAT: SnapshotFormat = { action: ACTION, kind: 0, version: 2 };

/** The bytes of a snapshot. */
export async function packSnapshot(
  { options, kept, rows }: Snapshot,
): Promise<Uint8Array<ArrayBuffer>> {
  return await packBytes(FORMAT, { options, kept }, rows);
}

/**
 * Reads the bytes of a snapshot. Throws a `SnapshotError` unless every one of them is as it was packed, and together they
 * are a state that a cache can have, with the rows of its tokens.
 */
export async function openSnapshot(given: Uint8Array): Promise<Snapshot> {
  const snapshot = await openBytes(FORMAT, given, (header) => {
    checkNames(ACTION, "header", header, ["options", "kept"]);
    const options = readOptions(header.options);
    return { options, kept: readKept(header.kept, options) };
  });
  const { options, kept, rows } = snapshot;
  const needed = storedBytes(options, storedOf(kept, options.capacity));
  if (rows.length !== needed) {
    const values = { bytes: rows.length, needed };
    failSnapshot(ACTION, "the snapshot must hold the rows of its tokens", values);
  }
  return snapshot;
}

/** Slots that hold tokens, per sequence. */
export function storedOf(kept: readonly KeptTokens[], capacity: number): number[] {
  return kept.map(({ length }) => storedTokens(length, capacity));
}

/** All of them are there but for what a cache may do without, so that nothing is a default of this version. */
function readOptions(options: unknown): FilledRingOptions {
  const optional = ["window", "rope", "valuesAre", "kvCalibration", "kvRotation"];
  const required = ["batch", "numKvHeads", "headDim", "valueDim", "capacity", "sinks", "maxSeqLen"];
  required.push("overflow", "dtype", "kvDtype", "layout");
  checkNames(ACTION, "options", options, required, optional);
  checkRopeNames(ACTION, options.rope);
  return fillInRing(ACTION, options as unknown as RingKvCacheOptions);
}

function readKept(kept: unknown, options: FilledRingOptions): KeptTokens[] {
  const { batch } = options;
  if (!Array.isArray(kept) || kept.length !== batch) {
    return failSnapshot(ACTION, "kept must have an entry for each sequence", { kept, batch });
  }
  const rules = ringRules(ACTION, options);
  return kept.map((one: unknown, sequence) => {
    checkNames(ACTION, `kept[${sequence}]`, one, ["oldest", "length"]);
    const { oldest, length } = one as unknown as KeptTokens;
    checkReachable(`restore sequence ${sequence} of RingKvCache`, rules, { oldest, length });
    return { oldest, length };
  });
}
