import { checkArray, checkInteger, checkObject, sentence } from "../base/check.ts";
import { PoolExhaustedError, SnapshotError } from "../base/errors.ts";
import { once } from "../base/once.ts";
import { checkEncoder } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { checkSequences } from "./append.ts";
import type { CacheSpec } from "./cache_spec.ts";
import { CHANGE_BYTES, Changes } from "./changes.ts";
import { CountedWork } from "./counted_work.ts";
import type { SequencePair } from "./fork.ts";
import { startsOf } from "./new_tokens.ts";
import { channelBuffer, channelBytes } from "./kv_calibration.ts";
import { PageCopy } from "./page_copy.ts";
import { checkPool, type PagePool } from "./page_pool.ts";
import { checkWords, readPages, writePages } from "./page_rows.ts";
import { PagedLayer } from "./paged_layer.ts";
import {
  type FilledPagedOptions,
  fillInPaged,
  type PagedKvCacheOptions,
  prefixKind,
} from "./paged_options.ts";
import {
  openPagedSnapshot,
  packPagedSnapshot,
  type PagedSnapshot,
  type SavedSequence,
} from "./paged_snapshot.ts";
import { PageTable, tableBytes, type TableShape } from "./page_table.ts";
import { boundOf, type RestoreOptions } from "./restore_options.ts";
import { type KeptTokens, type RingRules, truncated } from "./ring_rules.ts";
import { Rope, ropeBytes } from "./rope_kernel.ts";
import { sequencePages } from "./slots.ts";

/** A sequence on the host. */
interface Sequence extends KeptTokens {
  /** Its pages in order; undefined where one was given back. */
  pages: (number | undefined)[];
}

const ACTION = "create PagedKvCache";
const EXTEND = "extend PagedKvCache";
const SNAPSHOT = "snapshot PagedKvCache";
const RESTORE = "restore PagedKvCache";

/**
 * The keys and values of many sequences in the pages of a pool, for all layers of a model. Sequences take pages as they grow
 * and give them back when they end; forks and prompts that begin alike share them.
 *
 * A step is: {@linkcode PagedKvCache.extend} all sequences that get new tokens, then for each layer append to it and attend
 * over it. Tables and lengths live on the GPU and follow the order in which encoded work runs; the host counts what has been
 * encoded, so submit what you encode, in order.
 *
 * @example Two sequences, of which one begins as the other did
 * ```ts
 * import { Attention, Gpu, PagedKvCache, PagePool, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const pool = await PagePool.create(gpu, { numKvHeads: 1, headDim: 64, numPages: 16, pageSize: 16 });
 * const cache = await PagedKvCache.create(pool, { batch: 2, capacity: 128 });
 * const [layer] = cache.layers;
 * const attention = await Attention.create(gpu, { ...layer.spec, numHeads: 8 });
 * const empty = (heads: number) => Tensor.empty(gpu, [2, 1, heads, 64]);
 * const [q, k, v, o] = await Promise.all([8, 1, 1, 8].map(empty));
 *
 * for (let token = 0; token < 20; token++) {
 *   const encoder = gpu.device.createCommandEncoder();
 *   cache.extend(encoder, [1, 0]);
 *   layer.append(encoder, { k, v });
 *   gpu.device.queue.submit([encoder.finish()]);
 * }
 * const encoder = gpu.device.createCommandEncoder();
 * cache.fork(encoder, { from: 0, to: 1 });
 * cache.extend(encoder, [1, 1]); // copies the half page that both would write into
 * layer.append(encoder, { k, v });
 * attention.encode(encoder, { q, cache: layer, o });
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log(cache.length(1), pool.available); // 21 13
 * gpu.destroy();
 * ```
 */
export class PagedKvCache {
  /** Where its pages come from. */
  readonly pool: PagePool;
  /** The part of an attention's specification that the cache decides, the same for each layer. */
  readonly spec: CacheSpec;
  /** The layers: attention reads them, and appends write them. */
  readonly layers: readonly PagedLayer[];
  /** Bytes of tables and counters on the GPU, besides the pool's pages. */
  readonly bytes: number;
  readonly #layers: PagedLayer[] = [];

  readonly #owned: Owned;
  readonly #table: PageTable;
  readonly #copy: PageCopy;
  readonly #counted: CountedWork;
  readonly #rules: RingRules;
  readonly #changes: Changes;
  readonly #options: FilledPagedOptions;
  readonly #sequences: Sequence[];
  #step: { counts: readonly number[] } = { counts: [] };
  /** The prefix that its prompts begin under; made late, as its text may be long and many caches share no prompts. */
  #root?: number;

  private constructor(
    pool: PagePool,
    spec: CacheSpec,
    options: FilledPagedOptions,
    made: { owned: Owned; table: PageTable; copy: PageCopy; changes: Changes },
  ) {
    const { batch, capacity, sinks, window = capacity } = spec;
    this.pool = pool;
    this.spec = spec;
    this.bytes = cacheBytes(pool, options);
    this.#owned = made.owned;
    this.#table = made.table;
    this.#copy = made.copy;
    const { lengths, newTokens } = made.table;
    this.#counted = new CountedWork(pool.gpu, [lengths, newTokens]);
    this.#options = options;
    this.#changes = made.changes;
    this.#rules = { capacity, sinks, window, overflow: "error" };
    this.#sequences = Array.from({ length: batch }, () => ({ oldest: 0, length: 0, pages: [] }));
    this.layers = this.#layers;
  }

  /**
   * Makes the tables of empty sequences, and compiles what they need.
   *
   * @param pool Where pages come from; it must outlive the cache.
   * @param options How many sequences, and how long.
   * @returns The cache. Destroy it with {@linkcode PagedKvCache.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, or does not fit the device.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  static async create(pool: PagePool, options: PagedKvCacheOptions): Promise<PagedKvCache> {
    checkPool(ACTION, pool);
    return await PagedKvCache.#create(pool, fillInPaged(ACTION, options, pool.shape));
  }

  static async #create(pool: PagePool, options: FilledPagedOptions): Promise<PagedKvCache> {
    const { gpu } = pool;
    const { layers: _, pages, ...shape } = pool.shape;
    const { batch, capacity, sinks, window, kvCalibration, kvRotation } = options;
    checkSequences(ACTION, gpu.device.limits, batch);
    const spec = {
      ...{ ...shape, batch, capacity, sinks, window, kvLayout: "BNSH" as const, pages },
      ...(kvCalibration === undefined ? {} : { kvCalibrated: true }),
      ...(kvRotation === undefined ? {} : { kvRotation }),
    };
    return await Owned.make(async (owned) => {
      const table = await PageTable.create(gpu, owned, tableShape(pool, options));
      const copy = await PageCopy.compile(gpu, owned, pool);
      const changes = await Changes.create(gpu, owned);
      const cache = new PagedKvCache(pool, spec, options, { owned, table, copy, changes });
      await cache.#makeLayers(gpu);
      return cache;
    });
  }

  async #makeLayers(gpu: Gpu): Promise<void> {
    const { spec } = this;
    const { ropes, kvCalibration } = this.#options;
    const made = new Map<string, Promise<Rope>>();
    for (const [i, parts] of this.pool.layers.entries()) {
      const filled = ropes[i];
      const rope = filled &&
        await once(made, JSON.stringify(filled), () => Rope.create(gpu, this.#owned, filled, spec));
      const channels = kvCalibration &&
        await gpu.guard(
          "allocate channels",
          () => this.#owned.keep(channelBuffer(gpu, kvCalibration[i])),
        );
      const layer = await PagedLayer.create(gpu, this.#owned, spec, {
        ...{ parts, table: this.#table, rope, channels },
        kept: () => this.#sequences,
        step: () => this.#step,
        counted: this.#counted,
      });
      this.#layers.push(layer);
    }
  }

  /**
   * Creates a cache and fills it with what a snapshot holds, in pages of a pool of the same shape: also on another device than
   * the snapshot was taken on, and after that was lost. Pages that sequences shared they share again; which prompts the pool
   * remembers is not kept.
   *
   * A snapshot's checksum finds damage and proves no origin: of one that a stranger wrote, the lengths, options, pages and
   * sizes are checked, and the keys and values are whatever the stranger likes.
   *
   * @param pool Where pages come from; it must outlive the cache.
   * @param snapshot What {@linkcode PagedKvCache.snapshot} returned.
   * @param options How much memory a snapshot may ask for: `maxBytes` of its tables, which are all of
   * {@linkcode PagedKvCache.bytes}.
   * @returns A cache that resumes where the other was, bit for bit.
   * @throws {TypeError} If it is no `Uint8Array`.
   * @throws {SnapshotError} If the bytes are no snapshot of pages, not every one of them is as it was, they are of no state
   * that a cache can have, or of a pool of another shape.
   * @throws {RangeError} If tables take more than `maxBytes`, or do not fit the device. Nothing is allocated.
   * @throws {PoolExhaustedError} If the pool has not as many pages.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example
   * ```ts
   * import { Gpu, PagedKvCache, PagePool, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const shape = { numKvHeads: 1, headDim: 4, numPages: 4, pageSize: 16 };
   * const cache = await PagedKvCache.create(await PagePool.create(gpu, shape), { capacity: 64 });
   * const k = await Tensor.upload(gpu, { data: [1, 2, 3, 4], shape: [1, 1, 1, 4] });
   * const encoder = gpu.device.createCommandEncoder();
   * cache.extend(encoder, [1]);
   * cache.layers[0].append(encoder, { k, v: k });
   * gpu.device.queue.submit([encoder.finish()]);
   *
   * const saved = await cache.snapshot(); // bytes for a file or a database
   * const resumed = await PagedKvCache.restore(await PagePool.create(gpu, shape), saved);
   * console.log(resumed.length()); // 1
   * gpu.destroy();
   * ```
   */
  static async restore(
    pool: PagePool,
    snapshot: Uint8Array,
    options: RestoreOptions = {},
  ): Promise<PagedKvCache> {
    checkPool(RESTORE, pool);
    const { gpu } = pool;
    const checkBound = boundOf(RESTORE, gpu, options);
    const opened = await openPagedSnapshot(snapshot, pool.shape);
    checkBound("tables", cacheBytes(pool, opened.options));
    return await Owned.make(async (owned) => {
      const cache = owned.keep(await PagedKvCache.#create(pool, opened.options));
      await gpu.guard(RESTORE, () => cache.#fill(opened));
      return cache;
    });
  }

  #fill({ sequences, numPages, rows }: PagedSnapshot): void {
    const { pool } = this;
    const taken = pool.allocator.take(numPages);
    sequences.forEach(({ oldest, length, pages }, b) => {
      const own = pages.map((page) => page === null ? undefined : taken[page]);
      pool.allocator.hold(own.filter((page) => page !== undefined));
      Object.assign(this.#sequences[b], { oldest, length, pages: own });
    });
    // Every page has a holder by now.
    pool.allocator.release(taken);
    writePages(pool, taken, rows);
    this.#table.fill(this.#sequences);
    this.#changes.settle();
    this.#counted.encoded();
  }

  /**
   * Copies the cache to the host, as it is after all work submitted so far: options, lengths, which sequence has which page,
   * and the rows of the pages, closed by a checksum. Takes as much memory again on the device for as long as it lasts.
   *
   * @returns Bytes for {@linkcode PagedKvCache.restore}.
   * @throws {SnapshotError} If something was encoded that has not been submitted, or a layer's new tokens were not appended.
   * @throws {RangeError} If a page does not end on a whole word, as one of an odd number of halves does not.
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused some work.
   */
  async snapshot(): Promise<Uint8Array<ArrayBuffer>> {
    this.#counted.check(SNAPSHOT);
    checkWords(SNAPSHOT, this.pool.shape);
    if (!this.layers.every(({ isCurrent }) => isCurrent)) {
      const { counts } = this.#step;
      const rule = "every layer's new tokens must have been appended";
      throw new SnapshotError(sentence(SNAPSHOT, rule, { counts }));
    }
    const numbers = new Map<number, number>();
    const sequences = this.#sequences.map(({ oldest, length, pages }): SavedSequence => ({
      oldest,
      length,
      pages: pages.map((page) => {
        if (page === undefined) return null;
        if (!numbers.has(page)) numbers.set(page, numbers.size);
        return numbers.get(page)!;
      }),
    }));
    const checkRun = this.#changes.mark();
    const counters = [this.#table.lengths, this.#changes.buffer];
    const read = await readPages(SNAPSHOT, this.pool, [...numbers.keys()], counters);
    checkRun(SNAPSHOT, sequences, read.counters);
    return await packPagedSnapshot(this.pool.shape, this.#options, sequences, read.rows);
  }

  /**
   * The rows of a step's tokens where they lie end to end, [tokens, ...]: those of sequence b are from `starts[b]` up to, but
   * not including, `starts[b + 1]`, by the counts of the last {@linkcode PagedKvCache.extend}; all 0 where sequences changed
   * in another way since.
   */
  get starts(): number[] {
    const { counts } = this.#step;
    return startsOf(counts.length > 0 ? counts : this.#sequences.map(() => 0));
  }

  /**
   * Tokens of a sequence, as of what has been encoded.
   *
   * @param sequence Index within the batch. The default is 0.
   * @returns The length.
   * @throws {TypeError} If it is no number.
   * @throws {RangeError} If there is no such sequence.
   */
  length(sequence = 0): number {
    return this.#at("read a length of PagedKvCache", sequence).length;
  }

  /**
   * The pages that a sequence holds, as of what has been encoded.
   *
   * @param sequence Index within the batch. The default is 0.
   * @returns Numbers of pages, in the order of their tokens; those that it gave back are left out.
   * @throws {TypeError} If it is no number.
   * @throws {RangeError} If there is no such sequence.
   */
  pages(sequence = 0): number[] {
    return heldOf(this.#at("read the pages of PagedKvCache", sequence));
  }

  /**
   * Pages that a sequence would take from the pool for more tokens.
   *
   * @param sequence Index within the batch.
   * @param tokens How many more.
   * @returns Pages, one for a shared page that would be written among them.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no such sequence.
   */
  needed(sequence: number, tokens: number): number {
    this.#at("count pages of PagedKvCache", sequence);
    checkInteger("count pages of PagedKvCache", "tokens", tokens, 0);
    const page = tokens > 0 ? this.#openPage(sequence) : undefined;
    const isShared = page !== undefined && this.pool.allocator.holders(page) > 1;
    return this.#fresh(sequence, tokens) + (isShared ? 1 : 0);
  }

  /**
   * Encodes the growth of sequences: pages are taken, tables and lengths changed; a page that others hold too is copied
   * before it is written. Every layer's append of the same tokens, and attention, come after it.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param counts New tokens of each sequence [B], from 0 on.
   * @throws {TypeError} If `counts` is no array of numbers.
   * @throws {RangeError} If there is not a number for each sequence, or one would outgrow the capacity.
   * @throws {PoolExhaustedError} If the pool has not as many pages. The cache is unchanged.
   * @throws {GpuWorkError} If the GPU refused work on the cache: clear it.
   * @throws {DeviceLostError} If the device is lost.
   */
  extend(encoder: GPUCommandEncoder, counts: readonly number[]): void {
    checkEncoder(EXTEND, encoder);
    this.#counted.check(EXTEND);
    const added = this.#checkedCounts(counts);
    const { allocator, shape: { pages: { size } } } = this.pool;
    const copies = this.#copied(added);
    const needed = added.reduce((sum, tokens, b) => sum + this.#fresh(b, tokens), copies.size);
    const passed = this.#passed(added);
    this.#checkPool(needed, passed.map(({ page }) => page));
    for (const { sequence, place, page } of passed) {
      allocator.release([page]);
      sequence.pages[place] = undefined;
      sequence.oldest = (place + 1) * size;
    }
    const pages = allocator.take(needed);
    this.#sequences.forEach((sequence, b) => {
      if (added[b] === 0) return;
      if (copies.has(b)) this.#copyLast(encoder, b, pages.shift()!);
      else if (sequence.length % size !== 0) allocator.forget(sequence.pages.at(-1)!);
      sequence.length += added[b];
      while (sequence.pages.length * size < sequence.length) {
        this.#table.setPage(encoder, b, sequence.pages.length, pages[0]);
        sequence.pages.push(pages.shift()!);
      }
    });
    this.#table.advance(encoder, startsOf(added));
    this.#changes.encode(encoder);
    this.#counted.encoded();
    this.#step = { counts: added };
  }

  /**
   * Encodes the forgetting of the newest tokens, such as speculated ones that were rejected.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param length Tokens that are left.
   * @param sequence Index within the batch. The default is 0.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no such sequence, it is shorter, or pages that the next token sees were given back. The
   * cache is unchanged.
   * @throws {GpuWorkError} If the GPU refused work on the cache: clear it.
   * @throws {DeviceLostError} If the device is lost.
   */
  truncate(encoder: GPUCommandEncoder, length: number, sequence = 0): void {
    const action = "truncate PagedKvCache";
    checkEncoder(action, encoder);
    this.#counted.check(action);
    const one = this.#at(action, sequence);
    const kept = truncated(action, this.#rules, one, length);
    const { size } = this.pool.shape.pages;
    const released = one.pages.splice(Math.ceil(length / size));
    this.pool.allocator.release(released.filter((page) => page !== undefined));
    Object.assign(one, kept);
    this.#table.setLength(encoder, sequence, length);
    this.#changes.encode(encoder);
    this.#counted.encoded();
    this.#step = { counts: [] };
  }

  /**
   * Encodes one sequence becoming a copy of another, whose pages it shares: beams, samples of one prompt.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param pair Which sequence becomes a copy of which; the pages of the one that is overwritten are given back.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no such sequence, or both are the same. The cache is unchanged.
   * @throws {GpuWorkError} If the GPU refused work on the cache: clear it.
   * @throws {DeviceLostError} If the device is lost.
   */
  fork(encoder: GPUCommandEncoder, pair: SequencePair): void {
    const action = "fork PagedKvCache";
    checkEncoder(action, encoder);
    this.#counted.check(action);
    checkObject(action, "pair", pair);
    const { from, to } = pair;
    const [source, copy] = [this.#at(action, from), this.#at(action, to)];
    if (from === to) {
      throw new RangeError(sentence(action, "from and to must be two sequences", { from, to }));
    }
    const { allocator } = this.pool;
    allocator.hold(heldOf(source));
    allocator.release(heldOf(copy));
    const { oldest, length } = source;
    Object.assign(copy, { oldest, length, pages: [...source.pages] });
    this.#table.setLength(encoder, to, length);
    source.pages.forEach((page, place) => {
      if (page !== undefined) this.#table.setPage(encoder, to, place, page);
    });
    this.#changes.encode(encoder);
    this.#counted.encoded();
    this.#step = { counts: [] };
  }

  /**
   * Encodes the end of a sequence, whose pages go back to the pool.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param sequence Index within the batch. The default is all.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no such sequence.
   * @throws {GpuWorkError} If the GPU refused work on the cache, and not all of it is cleared.
   * @throws {DeviceLostError} If the device is lost.
   */
  clear(encoder: GPUCommandEncoder, sequence?: number): void {
    const action = "clear PagedKvCache";
    checkEncoder(action, encoder);
    if (sequence === undefined) this.pool.gpu.throwIfLost();
    else this.#counted.check(action);
    const all = this.#sequences.map((_, b) => b);
    for (const b of sequence === undefined ? all : [sequence]) {
      const one = this.#at(action, b);
      this.pool.allocator.release(heldOf(one));
      Object.assign(one, { oldest: 0, length: 0, pages: [] });
      this.#table.setLength(encoder, b, 0);
    }
    this.#changes.encode(encoder);
    this.#counted.encoded();
    this.#step = { counts: [] };
  }

  /**
   * Lets prompts that begin as a sequence does share its full pages, also after its end, until somebody needs them. Caches of
   * one pool find each other's where they have the same rope, calibrations, rotation, sinks and window. Which model writes
   * into them no cache knows: all that share prompts in a pool must be of one.
   *
   * @param tokens The sequence's tokens from its first on, whose keys and values have been encoded in all layers.
   * @param sequence Index within the batch. The default is 0.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If there is no such sequence, or it has not as many tokens.
   * @throws {GpuWorkError} If the GPU refused work on the cache: clear it.
   * @throws {DeviceLostError} If the device is lost.
   */
  remember(tokens: readonly number[], sequence = 0): void {
    const action = "remember a prefix of PagedKvCache";
    this.#counted.check(action);
    const { length, pages } = this.#at(action, sequence);
    checkTokens(action, tokens);
    if (tokens.length > length) {
      throw new RangeError(
        sentence(action, "the sequence must have all of them", { tokens: tokens.length, length }),
      );
    }
    const { allocator, shape: { pages: { size } } } = this.pool;
    let prefix = this.#prefixRoot();
    for (let place = 0; (place + 1) * size <= tokens.length; place++) {
      const page = pages[place];
      if (page === undefined) return;
      prefix = allocator.remember(prefix, tokens.slice(place * size, (place + 1) * size), page);
    }
  }

  /**
   * Encodes an empty sequence beginning with the pages of a prompt that began alike. The last token is never among them, as
   * somebody has to feed it.
   *
   * @param encoder The encoder to encode into; nothing is submitted.
   * @param tokens The prompt.
   * @param sequence Index within the batch. The default is 0.
   * @returns How many of the tokens the sequence has by that: feed those behind them.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If there is no such sequence, or it is not empty.
   * @throws {GpuWorkError} If the GPU refused work on the cache: clear it.
   * @throws {DeviceLostError} If the device is lost.
   */
  recall(encoder: GPUCommandEncoder, tokens: readonly number[], sequence = 0): number {
    const action = "recall a prefix in PagedKvCache";
    checkEncoder(action, encoder);
    this.#counted.check(action);
    const one = this.#at(action, sequence);
    checkTokens(action, tokens);
    if (one.length > 0) {
      throw new RangeError(
        sentence(action, "the sequence must be empty (clear it first)", { length: one.length }),
      );
    }
    const { allocator, shape: { pages: { size } } } = this.pool;
    const { pages } = allocator.recall(tokens.slice(0, -1), size, this.#prefixRoot());
    pages.forEach((page, place) => this.#table.setPage(encoder, sequence, place, page));
    Object.assign(one, { pages, length: pages.length * size });
    this.#table.setLength(encoder, sequence, one.length);
    this.#changes.encode(encoder);
    this.#counted.encoded();
    this.#step = { counts: [] };
    return one.length;
  }

  /**
   * Pages that {@linkcode PagedKvCache.recall} would share with sequences that run, so that it takes none from the pool for
   * them.
   *
   * @param tokens The prompt.
   * @returns Their number.
   * @throws {TypeError} If the tokens are no array of numbers.
   * @throws {RangeError} If a token is no token id.
   */
  shared(tokens: readonly number[]): number {
    checkTokens("count shared pages of PagedKvCache", tokens);
    const { allocator, shape: { pages: { size } } } = this.pool;
    return allocator.shared(tokens.slice(0, -1), size, this.#prefixRoot());
  }

  /** Gives all pages back, and frees the tables. */
  destroy(): void {
    for (const one of this.#sequences) {
      this.pool.allocator.release(heldOf(one));
      Object.assign(one, { oldest: 0, length: 0, pages: [] });
    }
    this.#owned.destroy();
  }

  #prefixRoot(): number {
    return this.#root ??= this.pool.allocator.root(prefixKind(this.#options));
  }

  /** Pages behind its own that a sequence takes for more tokens. */
  #fresh(sequence: number, tokens: number): number {
    const { length, pages } = this.#sequences[sequence];
    return Math.max(0, Math.ceil((length + tokens) / this.pool.shape.pages.size) - pages.length);
  }

  /** The page that the next token of a sequence goes into; none where that is a new one. */
  #openPage(sequence: number): number | undefined {
    const { length, pages } = this.#sequences[sequence];
    return length % this.pool.shape.pages.size === 0 ? undefined : pages.at(-1);
  }

  /** Growing sequences that copy their last page: all that share one, but for the last if no other sequence holds it. */
  #copied(added: readonly number[]): Set<number> {
    const left = new Map<number, number>();
    const copies = new Set<number>();
    added.forEach((tokens, b) => {
      const page = tokens > 0 ? this.#openPage(b) : undefined;
      if (page === undefined) return;
      const holders = left.get(page) ?? this.pool.allocator.holders(page);
      left.set(page, holders - 1);
      if (holders > 1) copies.add(b);
    });
    return copies;
  }

  #copyLast(encoder: GPUCommandEncoder, sequence: number, to: number): void {
    const { pages } = this.#sequences[sequence];
    const place = pages.length - 1;
    const from = pages[place]!;
    const pass = encoder.beginComputePass();
    this.#copy.encode(pass, this.#table.lengths, from, to);
    pass.end();
    this.#table.setPage(encoder, sequence, place, to);
    this.pool.allocator.release([from]);
    pages[place] = to;
  }

  /** Pages of growing sequences that no query from the next one on sees. */
  #passed(added: readonly number[]): { sequence: Sequence; place: number; page: number }[] {
    const { sinks, window } = this.spec;
    if (window === undefined) return [];
    const { size } = this.pool.shape.pages;
    return this.#sequences.filter((_, b) => added[b] > 0).flatMap((sequence) => {
      const end = Math.floor((sequence.length - window - this.#options.maxSeqLen + 2) / size);
      return sequence.pages.flatMap((page, place) =>
        page !== undefined && place >= Math.ceil(sinks / size) && place < end
          ? [{ sequence, place, page }]
          : []
      );
    });
  }

  /** Throws unless there are as many pages, with those that are about to be given back. */
  #checkPool(needed: number, passed: readonly number[]): void {
    const { allocator } = this.pool;
    const { available, numPages } = allocator;
    const givenBack = passed.filter((page) => allocator.holders(page) === 1).length;
    if (needed <= available + givenBack) return;
    throw new PoolExhaustedError(
      sentence(EXTEND, "the pool has not as many pages (let sequences end, or make it larger)", {
        ...{ needed, available: available + givenBack, numPages },
      }),
    );
  }

  #checkedCounts(counts: readonly number[]): number[] {
    const { batch, capacity } = this.spec;
    checkArray(EXTEND, "counts", counts);
    const added = [...counts];
    if (added.length !== batch) {
      throw new RangeError(
        sentence(EXTEND, "counts must have a number for each sequence", { counts, batch }),
      );
    }
    added.forEach((count, sequence) => {
      checkInteger(EXTEND, `counts[${sequence}]`, count, 0);
      const { length } = this.#sequences[sequence];
      if (length + count <= capacity) return;
      throw new RangeError(
        sentence(EXTEND, "a sequence must fit the capacity (raise it, or end the sequence)", {
          ...{ sequence, length, count, capacity },
        }),
      );
    });
    return added;
  }

  #at(action: string, sequence: number): Sequence {
    checkInteger(action, "sequence", sequence, 0);
    const { batch } = this.spec;
    if (sequence < batch) return this.#sequences[sequence];
    throw new RangeError(
      sentence(action, "sequence must be within the batch", { sequence, batch }),
    );
  }
}

/** The sizes of the tables of a cache in a pool. */
function tableShape({ shape: { pages } }: PagePool, options: FilledPagedOptions): TableShape {
  const { batch, capacity } = options;
  return {
    batch,
    sequencePages: sequencePages(capacity, pages),
    // No step has more new tokens than the pool has room for.
    numbers: Math.max(pages.count, capacity + 1, pages.count * pages.size + 1),
  };
}

/** Bytes of all that a cache has besides the pool's pages. */
function cacheBytes(pool: PagePool, options: FilledPagedOptions): number {
  const { ropes, kvCalibration = [] } = options;
  const rotated = ropes.filter((rope) => rope !== undefined);
  // Layers that rotate alike share a table.
  const ofRopes = new Map(rotated.map((rope) => [JSON.stringify(rope), ropeBytes(rope)]));
  const ofLayers = [...ofRopes.values(), ...kvCalibration.map(channelBytes)];
  const ofTables = tableBytes(tableShape(pool, options)) + CHANGE_BYTES;
  return ofLayers.reduce((sum, bytes) => sum + bytes, ofTables);
}

function heldOf({ pages }: Sequence): number[] {
  return pages.filter((page) => page !== undefined);
}

function checkTokens(action: string, tokens: readonly number[]): void {
  checkArray(action, "tokens", tokens);
  // Of an array with holes, these count too.
  for (let i = 0; i < tokens.length; i++) checkInteger(action, `tokens[${i}]`, tokens[i], 0);
}
