/** The places of a batch's sequences in a cache of pages, changed by one step's encoder. */
import type { PagedKvCache } from "../cache/paged_kv_cache.ts";
import type { ScheduledSequence, SequencePlaces } from "./batch_schedule.ts";

/** A sequence whose tokens are known. */
interface WithTokens extends ScheduledSequence {
  /** Its tokens that the host knows. */
  readonly tokens: readonly number[];
}

/** Encodes what a step does to the places. */
export class CachePlaces implements SequencePlaces<WithTokens> {
  readonly total: number;
  readonly pageSize: number;
  readonly #cache: PagedKvCache;
  readonly #encoder: GPUCommandEncoder;

  constructor(cache: PagedKvCache, encoder: GPUCommandEncoder) {
    const { count, size } = cache.pool.shape.pages;
    this.total = count;
    this.pageSize = size;
    this.#cache = cache;
    this.#encoder = encoder;
  }

  get available(): number {
    return this.#cache.pool.available;
  }

  needed({ slot, tokens: known }: WithTokens, tokens: number): number {
    if (slot !== undefined) return this.#cache.needed(slot, tokens);
    return Math.ceil(tokens / this.pageSize) - this.#cache.shared(known);
  }

  freedBy({ slot }: WithTokens): number {
    const { allocator } = this.#cache.pool;
    return this.#cache.pages(slot!).filter((page) => allocator.holders(page) === 1).length;
  }

  begin({ tokens }: WithTokens, slot: number): number {
    return this.#cache.recall(this.#encoder, tokens, slot);
  }

  extend(counts: readonly number[]): void {
    this.#cache.extend(this.#encoder, counts);
  }

  clear(slot: number): void {
    this.#cache.clear(this.#encoder, slot);
  }
}
