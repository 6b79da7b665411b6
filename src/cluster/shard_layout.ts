/** Which shard has which tokens of a context. */
import { checkInteger } from "../base/check.ts";

/** Pages of tokens, dealt to the shards in turn: position p belongs to shard `floor(p / page) mod shards`. */
export interface ShardLayout {
  /** Shards that a context is divided into. */
  shards: number;
  /** Tokens of a page. */
  page: number;
}

/** The tokens that a shard has of the first `length` of a context. */
export function lengthOfShard(
  { shards, page }: ShardLayout,
  shard: number,
  length: number,
): number {
  const cycle = shards * page;
  const rest = length % cycle - shard * page;
  return Math.floor(length / cycle) * page + Math.min(page, Math.max(0, rest));
}

/** The tokens of a context that fit, where each shard has room for so many. */
export function capacityOf({ shards, page }: ShardLayout, rooms: readonly number[]): number {
  // The context ends where the first token comes that its shard has no room for.
  return Math.min(
    ...rooms.map((room, shard) => (Math.floor(room / page) * shards + shard) * page + room % page),
  );
}

/** The shard that the token at a position belongs to. */
export function shardAt({ shards, page }: ShardLayout, position: number): number {
  return Math.floor(position / page) % shards;
}

/** Few lengths are compiled: beside the longest, powers of this. */
const BASE = 8;

/**
 * Cuts new tokens into chunks that lie on one page each: all of a chunk belong to one shard, and every other shard has only
 * tokens before them.
 *
 * @param start The position of the first new token.
 * @param count The number of new tokens.
 * @param most Most tokens of a chunk.
 */
export function pageChunks(
  { page }: Pick<ShardLayout, "page">,
  { start, count, most }: { start: number; count: number; most: number },
): { from: number; count: number }[] {
  checkInteger("cut tokens into chunks", "most", most);
  const longest = Math.min(page, most);
  const chunks = [];
  for (let from = 0; from < count;) {
    const room = Math.min(count - from, page - (start + from) % page, most);
    const length = room === longest ? room : BASE ** Math.floor(Math.log(room) / Math.log(BASE));
    chunks.push({ from, count: length });
    from += length;
  }
  return chunks;
}
