/** The time of a decode step whose keys and values are divided among machines, and the context from which that is faster. */
import { checkAmount, checkInteger, checkObject } from "../base/check.ts";
import type { CacheOptions, CacheShape } from "./cache_bytes.ts";
import { decodeAttentionTime } from "./decode_time.ts";
import type { DeviceRates } from "./roofline.ts";

/** What it takes a layer to ask shards. */
export interface ShardRound {
  /** Shards that the tokens of a context are divided among, each on a device like the one that they are compared with. */
  shards: number;
  /**
   * Seconds of a readback. A layer waits for two, one after the other: of its queries, and of the shards' states. Deno takes about
   * 0.01, whatever is read.
   */
  readSeconds: number;
  /** Seconds of a round's messages beside the readbacks. The default is 0.002. */
  roundSeconds?: number;
  /**
   * Whether all shards are on one device, so that each waits for the others' keys and values. The default is false: each has a
   * device of its own.
   */
  isOneDevice?: boolean;
}

/** The time of attention over shards. */
export interface ShardedTime {
  /** Time in which the devices attend: that of the shard with the most tokens; on one device, of all of them. */
  attentionSeconds: number;
  /** Time of readbacks and messages. */
  waitSeconds: number;
  /** Their sum. */
  seconds: number;
}

const ACTION = "compare with shards";

/**
 * The time that attention takes in one decode step where the tokens of its context are divided among shards, over all layers.
 * {@linkcode decodeAttentionTime} is that of one device, beside which a layer waits for nothing.
 *
 * @param shape Heads, and layers that see all tokens.
 * @param rates The ceilings of each device.
 * @param round What a layer takes.
 * @param options Tokens, the new one included; the element type of the cache, `"f16"` by default.
 * @returns The time, and what it is made of.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, a time is below 0, the heads do not divide, or a rate is not
 * above 0.
 *
 * @example Two shards halve the time of the bytes, and take two readbacks and a round
 * ```ts
 * import { shardedAttentionTime } from "@onehead/attention";
 *
 * const shape = { numLayers: 1, numHeads: 8, numKvHeads: 8, headDim: 125 };
 * const rates = { bytesPerSecond: 1e12, flopsPerSecond: 1e15 };
 * const round = { shards: 2, readSeconds: 0.001, roundSeconds: 0.002 };
 * const time = shardedAttentionTime(shape, rates, round, { contextLen: 1_000_000 });
 * console.log(time.attentionSeconds, time.waitSeconds, time.seconds); // 0.002 0.004 0.006
 * ```
 */
export function shardedAttentionTime(
  shape: CacheShape & { numHeads: number },
  rates: DeviceRates,
  round: ShardRound,
  options: Pick<CacheOptions, "contextLen" | "dtype">,
): ShardedTime {
  checkObject(ACTION, "shape", shape);
  checkObject(ACTION, "options", options);
  const wait = waitOf(round);
  const { contextLen, dtype } = options;
  checkInteger(ACTION, "contextLen", contextLen);
  const { shards, isOneDevice } = round;
  const tokens = isOneDevice ? contextLen : Math.ceil(contextLen / shards);
  const seen = { ...shape, windowed: undefined };
  const { seconds } = decodeAttentionTime(seen, rates, { contextLen: tokens, dtype });
  const waitSeconds = shape.numLayers * wait;
  return { attentionSeconds: seconds, waitSeconds, seconds: seconds + waitSeconds };
}

/**
 * The context from which shards are faster than one device that holds all of it. In each layer they save the time of the other
 * shards' keys and values, which grows with the context, and take two readbacks and a round of messages, which do not. Where no
 * device holds the context, shards are what is left, however slow.
 *
 * @param shape Heads, and layers that see all tokens. Their number does not matter: each saves and takes the same.
 * @param rates The ceilings of each device.
 * @param round What a layer takes.
 * @param options The element type of the cache. The default is `"f16"`.
 * @returns The least number of tokens; `Infinity` for one shard, or shards on one device, which save nothing.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, a time is below 0, the heads do not divide, or a rate is not
 * above 0.
 *
 * @example MHA reads 32 times as many bytes as MQA: shards pay off 32 times as soon where both wait for memory
 * ```ts
 * import { shardedContextFrom } from "@onehead/attention";
 *
 * const card = { bytesPerSecond: 2e12, flopsPerSecond: 3e14 };
 * const round = { shards: 2, readSeconds: 0.0005, roundSeconds: 0.001 };
 * const shape = { numLayers: 32, numHeads: 32, headDim: 128 };
 * console.log(shardedContextFrom({ ...shape, numKvHeads: 32 }, card, round)); // 488282
 * console.log(shardedContextFrom({ ...shape, numKvHeads: 1 }, card, round)); // 15625001
 * ```
 */
export function shardedContextFrom(
  shape: CacheShape & { numHeads: number },
  rates: DeviceRates,
  round: ShardRound,
  options: Pick<CacheOptions, "dtype"> = {},
): number {
  checkObject(ACTION, "shape", shape);
  checkObject(ACTION, "options", options);
  const wait = waitOf(round);
  const { shards, isOneDevice } = round;
  checkInteger(ACTION, "numLayers", shape.numLayers);
  const layer = { ...shape, numLayers: 1, windowed: undefined };
  const token = decodeAttentionTime(layer, rates, { ...options, contextLen: 1 }).seconds;
  if (shards === 1 || isOneDevice) return Infinity;
  return Math.floor(wait / (token * (1 - 1 / shards))) + 1;
}

/** Seconds that a layer waits for two readbacks and a round of messages. */
function waitOf(round: ShardRound): number {
  checkObject(ACTION, "round", round);
  const { shards, readSeconds, roundSeconds = 0.002 } = round;
  checkInteger(ACTION, "shards", shards);
  for (const [name, seconds] of Object.entries({ readSeconds, roundSeconds })) {
    checkAmount(ACTION, name, seconds);
  }
  return 2 * readSeconds + roundSeconds;
}
