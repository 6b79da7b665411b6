/** Times over shards, beside their prediction. Pure. */
import {
  decodeAttentionTime,
  type DeviceRates,
  shardedAttentionTime,
  shardedContextFrom,
  type ShardRound,
} from "../../mod.ts";
import type { AdapterInfo, Roofline, Times } from "../result.ts";
import { median, speedup, summaryOf } from "../statistics.ts";

/** Shards, and the heads of a layer. */
export interface ShardShape {
  shards: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
}

/** Milliseconds of what was timed in turns, by round. */
export interface ShardSamples {
  /** Attention over one local cache, for which nothing waits. */
  local: number[];
  /** A readback of queries, and attention over shards with these. */
  shards: number[];
  /** A readback of as many elements alone. */
  read: number[];
  /** A round of messages in which shards have nothing to compute. */
  round: number[];
}

/** Both outputs, compared; without samples where they differ. */
export interface MeasuredShards {
  contextLen: number;
  /** The largest difference over the largest output; NaN where one is no number. */
  error: number;
  samples?: ShardSamples;
}

/** A measured context. */
export interface ShardRow {
  contextLen: number;
  /** The largest difference over the largest output; null where one is no number. */
  error: number | null;
  /** Absent where the row is wrong. */
  figures?: ShardFigures;
  /** The reason why the row is wrong. */
  failure?: string;
}

/** The figures of a context, in milliseconds. */
export interface ShardFigures extends Record<keyof ShardSamples, Times> {
  /** The times that shards are faster, the median over rounds: below 1 one device is. */
  speedup: number;
  predicted: {
    local: number;
    /** Where all shards are on one device, as here. */
    oneDevice: number;
    /** Where each shard has a device like this one. */
    ownDevices: number;
  };
}

/** The contexts from which on shards are faster; null where they are at none. */
export interface ShardsFrom {
  /** Of those measured, with all shards on this device. */
  measured: number | null;
  /** By the ceilings, where each shard has a device like this one. */
  predicted: number | null;
  /** The same by the share of the ceilings that local attention reaches at the longest context. */
  predictedAtShare: number | null;
  /** That share. */
  share: number;
}

/** All of a run. */
export interface ShardsReport {
  schema: 1;
  adapter: AdapterInfo;
  roofline: Roofline;
  shape: ShardShape;
  rows: ShardRow[];
  /** Absent where no row is right. */
  from?: ShardsFrom;
}

/** The largest difference that sums of f32 in another order leave, over the largest output. */
export const TOLERANCE = 1e-4;

/** The largest difference of outputs over the largest of them; NaN where one is no number, or is missing. */
export function errorOf(local: Float32Array, shards: Float32Array): number {
  if (shards.length !== local.length) return NaN;
  let [error, largest] = [0, 0];
  for (const [i, value] of local.entries()) {
    const difference = Math.abs(shards[i] - value);
    if (!Number.isFinite(difference)) return NaN;
    error = Math.max(error, difference);
    largest = Math.max(largest, Math.abs(value));
  }
  return error / largest;
}

/** The ceilings of an adapter, as the planner takes them from what was measured. */
export function ratesOf(
  { copyGBps, readGBps, fmaGFlops }: Roofline,
  { isSoftware }: Pick<AdapterInfo, "isSoftware">,
): DeviceRates {
  const bytesPerSecond = 1e9 * Math.max(copyGBps, readGBps);
  return { bytesPerSecond, flopsPerSecond: 1e9 * fmaGFlops, isSerial: isSoftware };
}

/** The row of a context, with its prediction. */
export function rowOf(
  { contextLen, error, samples }: MeasuredShards,
  shape: ShardShape,
  rates: DeviceRates,
): ShardRow {
  if (!samples) {
    const failure = `shards are off one device by ${error} of its largest output: ` +
      `at most ${TOLERANCE} is expected`;
    return { contextLen, error: Number.isFinite(error) ? error : null, failure };
  }
  const { local, shards, read, round } = samples;
  const options = { contextLen, dtype: "f32" } as const;
  const waits = roundOf(shape, median(read), median(round));
  const layer = layerOf(shape);
  const over = (isOneDevice: boolean) =>
    1e3 * shardedAttentionTime(layer, rates, { ...waits, isOneDevice }, options).seconds;
  const figures = {
    local: summaryOf(local),
    shards: summaryOf(shards),
    read: summaryOf(read),
    round: summaryOf(round),
    speedup: speedup(shards, local),
    predicted: {
      local: 1e3 * decodeAttentionTime(layer, rates, options).seconds,
      oneDevice: over(true),
      ownDevices: over(false),
    },
  };
  return { contextLen, error, figures };
}

/** From which context on shards are faster; rows are in the order of their contexts. */
export function shardsFrom(
  rows: readonly ShardRow[],
  shape: ShardShape,
  rates: DeviceRates,
): ShardsFrom | undefined {
  const right = rows.flatMap(({ contextLen, figures }) =>
    figures ? [{ contextLen, ...figures }] : []
  );
  const longest = right.at(-1);
  if (!longest) return undefined;
  const medianOf = (name: "read" | "round") => median(right.map((row) => row[name].medianMs));
  const waits = roundOf(shape, medianOf("read"), medianOf("round"));
  const predict = (rates: DeviceRates) => {
    const from = shardedContextFrom(layerOf(shape), rates, waits, { dtype: "f32" });
    return Number.isFinite(from) ? from : null;
  };
  const share = longest.predicted.local / longest.local.medianMs;
  const { bytesPerSecond, flopsPerSecond } = rates;
  const reached = {
    ...rates,
    bytesPerSecond: share * bytesPerSecond,
    flopsPerSecond: share * flopsPerSecond,
  };
  const lastLost = right.findLastIndex(({ speedup }) => speedup <= 1);
  return {
    measured: right[lastLost + 1]?.contextLen ?? null,
    predicted: predict(rates),
    predictedAtShare: predict(reached),
    share,
  };
}

function layerOf({ numHeads, numKvHeads, headDim }: ShardShape) {
  return { numLayers: 1, numHeads, numKvHeads, headDim };
}

function roundOf({ shards }: ShardShape, readMs: number, roundMs: number): ShardRound {
  return { shards, readSeconds: readMs / 1e3, roundSeconds: roundMs / 1e3 };
}
