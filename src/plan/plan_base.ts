/** The start of every plan, whichever implementation it is of. */
import { sentence } from "../base/check.ts";
import { headParts, type HeadRange, partedShape } from "../cache/head_parts.ts";
import { storedRows } from "../cache/kv_shape.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { storageBytes } from "../tensor/dtype.ts";
import { ACTION, type FilledSpec } from "./spec.ts";

/** The device that a plan is for. */
export interface PlanDevice {
  limits: PlanLimits;
  profile: DeviceProfile;
}

/** The fields of every plan. */
export interface PlanBase {
  /** The specification with its defaults filled in. */
  spec: FilledSpec;
  /** Query heads per KV head. */
  groupSize: number;
  /** Most tokens that a query row may see: the columns of scores and weights. */
  contextLen: number;
  /** The KV heads of each buffer of keys and values; all of them where one storage binding holds them. */
  parts: readonly HeadRange[];
  /** The KV heads of all sequences, as in [B, numKvHeads], by the part that they are in. */
  headBlocks: readonly (HeadRange & { part: number })[];
  /** Bytes of scratch. */
  scratchBytes: number;
}

/** A plan before its tiles and its scratch are decided. */
export type PlanStart = Omit<PlanBase, "scratchBytes">;

/** Starts a plan; throws where a tensor does not fit a storage binding. */
export function startPlan(spec: FilledSpec, limits: PlanLimits): PlanStart {
  checkTensors(spec, limits);
  const contextLen = contextLenOf(spec);
  const parts = headParts(ACTION, partedShape(spec), limits);
  return {
    spec,
    groupSize: spec.numHeads / spec.numKvHeads,
    contextLen,
    parts,
    headBlocks: headBlocksOf(spec, parts),
  };
}

/** Sequences share the heads of pages; where their tokens lie end to end, tiles are dealt out within a head. */
function headBlocksOf(
  { batch, numKvHeads, pages, tokens }: FilledSpec,
  parts: readonly HeadRange[],
) {
  if (!pages || tokens !== undefined) return parts.map((heads, part) => ({ ...heads, part }));
  if (parts.length === 1) return [{ firstHead: 0, numHeads: batch * numKvHeads, part: 0 }];
  checkBlocks(batch * parts.length);
  return Array.from({ length: batch }, (_, b) =>
    parts.map(({ firstHead, numHeads }, part) => (
      { firstHead: b * numKvHeads + firstHead, numHeads, part }
    ))).flat();
}

/** Query rows of a sequence that read the same KV head; the most of them where tokens lie end to end. */
export function rowsPerKvHead({ numHeads, numKvHeads, seqLen }: FilledSpec): number {
  return numHeads / numKvHeads * seqLen;
}

/**
 * The tiles of a KV head: of one sequence; or where tokens lie end to end, those that are dealt out to all of them, which
 * `row_tile.wgsl` counts alike.
 */
export function tilesPerKvHead(spec: FilledSpec, tileRows: number): number {
  const { batch, numHeads, numKvHeads, tokens } = spec;
  if (tokens === undefined) return Math.ceil(rowsPerKvHead(spec) / tileRows);
  return Math.floor(tokens * numHeads / numKvHeads / tileRows) +
    batch * spareTiles(spec, tileRows);
}

/** Tiles that a sequence whose tokens lie among others' may need beyond its share of them. */
export function spareTiles({ numHeads, numKvHeads }: FilledSpec, tileRows: number): number {
  return numHeads / numKvHeads % tileRows === 0 ? 0 : 1;
}

/** Queries at the end of the context see no more than the window of the first of them; others may see all of it. */
function contextLenOf(
  { capacity, seqLen, alignment, sinks, window = Infinity }: FilledSpec,
): number {
  return alignment === "bottom-right" ? Math.min(capacity, sinks + window - 1 + seqLen) : capacity;
}

/** A tensor must fit one binding; keys and values that lie head by head may be a cache, cut into parts. */
function checkTensors(spec: FilledSpec, { maxStorageBufferBindingSize }: PlanLimits): void {
  const { batch, numKvHeads, capacity, headDim, valueDim, numRows } = spec;
  const { dtype, kvDtype, kvLayout } = spec;
  const keyRows = batch * numKvHeads * capacity;
  const kvBytes = storedRows(spec)
    .map(([name, size]) => [name, storageBytes([keyRows, size], kvDtype)] as const);
  const tensors = {
    q: storageBytes([numRows, headDim], dtype),
    ...(kvLayout === "BNSH" ? {} : Object.fromEntries(kvBytes)),
    o: storageBytes([numRows, valueDim], dtype),
  };
  for (const [name, bytes] of Object.entries(tensors)) {
    if (bytes <= maxStorageBufferBindingSize) continue;
    throw new RangeError(
      sentence(ACTION, `${name} must fit one storage binding (split the batch or the context)`, {
        bytes,
        maxStorageBufferBindingSize,
      }),
    );
  }
}

/** More dispatches of a kernel than anyone waits for; each has a buffer of parameters. */
const MOST_BLOCKS = 2 ** 16;

/** Throws a `RangeError` where rows are cut into more blocks than a plan may have. */
export function checkBlocks(blocks: number): void {
  if (blocks <= MOST_BLOCKS) return;
  throw new RangeError(
    sentence(
      ACTION,
      `rows must be done in ${MOST_BLOCKS} blocks (raise maxScratchBytes, or split the batch)`,
      {
        blocks,
      },
    ),
  );
}
