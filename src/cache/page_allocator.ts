/** Pages by number: which are free, how many hold on to each, and which hold the tokens of a known prefix. Apart from any GPU. */
import { checkArray, checkInteger, checkNumbers, checkString, sentence } from "../base/check.ts";
import { PoolExhaustedError } from "../base/errors.ts";

/** A known prefix: the pages of its tokens are found through it. */
interface Entry {
  id: number;
  page: number;
  key: string;
}

/** Whole pages whose tokens a prompt begins with. */
export interface KnownPrefix {
  /** The pages, in order; each has one more holder. */
  pages: number[];
  /** The prefix that ends with the last of them: what follows is remembered under it. */
  prefix: number;
}

/** The prefix of no tokens, where all who share the pages store the same tokens alike. */
export const NO_PREFIX = 0;

/**
 * Hands out pages and takes them back. A page has as many holders as sequences share it. When the last one lets go it is free
 * again, but for pages that a remembered prefix ends with: these keep their tokens, for prompts that begin alike, until the
 * pool needs them; the page that was let go first is taken first.
 *
 * Prefixes are compared token by token, and never by a hash alone (paged attention: Kwon et al. 2023, arXiv 2309.06180; prefix
 * reuse as in SGLang's RadixAttention, Zheng et al. 2023, arXiv 2312.07104, by whole pages).
 *
 * Every method throws a `TypeError` for a value of the wrong kind, and a `RangeError` for a page or a count that there is not,
 * and for a page that is not held where it must be; nothing is changed then.
 *
 * @example
 * ```ts
 * import { PageAllocator } from "@onehead/attention";
 *
 * const allocator = new PageAllocator(3);
 * const [first, second] = allocator.take(2);
 * allocator.hold([first]); // a fork shares it
 * allocator.release([first, second]);
 * console.log(allocator.holders(first), allocator.available); // 1 2
 * ```
 */
export class PageAllocator {
  /** Pages in all. */
  readonly numPages: number;
  readonly #holders: Uint32Array;
  /** Pages without holder and without a prefix; the last one is taken first. */
  readonly #empty: number[];
  /** Prefixes whose page has no holder, oldest first. */
  readonly #idle = new Set<Entry>();
  readonly #entries = new Map<string, Entry>();
  readonly #entryOf = new Map<number, Entry>();
  readonly #roots = new Map<string, number>();
  #nextId = NO_PREFIX + 1;

  /**
   * Begins with pages without holders.
   *
   * @param numPages Pages in all.
   */
  constructor(numPages: number) {
    checkInteger("create PagePool", "numPages", numPages);
    this.numPages = numPages;
    this.#holders = new Uint32Array(numPages);
    this.#empty = Array.from({ length: numPages }, (_, i) => numPages - 1 - i);
  }

  /** Pages that can be taken: those without holders. */
  get available(): number {
    return this.#empty.length + this.#idle.size;
  }

  /** Pages without holders whose tokens are still known. */
  get remembered(): number {
    return this.#idle.size;
  }

  /**
   * The number of holders of a page.
   *
   * @param page Its number, from 0.
   * @returns Sequences that share it; 0 for a page that can be taken.
   */
  holders(page: number): number {
    this.#checkPages("count the holders of a page", [page]);
    return this.#holders[page];
  }

  /**
   * Takes pages, each with one holder.
   *
   * @param count How many.
   * @returns Their numbers.
   * @throws {PoolExhaustedError} If there are not as many; none is taken then.
   */
  take(count: number): number[] {
    const { available, numPages } = this;
    checkInteger("take pages", "count", count, 0);
    if (count > available) {
      throw new PoolExhaustedError(
        sentence("take pages", "the pool has fewer (let sequences end, or make it larger)", {
          count,
          available,
          numPages,
        }),
      );
    }
    return Array.from({ length: count }, () => {
      const page = this.#empty.pop() ?? this.#forgetOldest();
      this.#holders[page] = 1;
      return page;
    });
  }

  /**
   * Holds pages once more.
   *
   * @param pages Pages that have holders, or whose tokens are still known.
   */
  hold(pages: readonly number[]): void {
    const action = "hold pages";
    this.#checkPages(action, pages);
    const free = pages.find((page) => this.#holders[page] === 0 && !this.#entryOf.has(page));
    if (free !== undefined) {
      const rule = "page must have holders or tokens that are known (take it)";
      throw new RangeError(sentence(action, rule, { page: free }));
    }
    for (const page of pages) {
      if (this.#holders[page]++ > 0) continue;
      this.#idle.delete(this.#entryOf.get(page)!);
    }
  }

  /**
   * Lets go of pages: those without another holder can be taken again.
   *
   * @param pages Pages that are held, in the order of their tokens.
   */
  release(pages: readonly number[]): void {
    const action = "release pages";
    this.#checkPages(action, pages);
    const named = new Map<number, number>();
    for (const page of pages) named.set(page, (named.get(page) ?? 0) + 1);
    for (const [page, times] of named) this.#checkHeld(action, page, times);
    // The last page of a sequence is let go first: without the pages before it, it cannot be found.
    for (const page of [...pages].reverse()) {
      if (--this.#holders[page] > 0) continue;
      const entry = this.#entryOf.get(page);
      if (entry) this.#idle.add(entry);
      else this.#empty.push(page);
    }
  }

  /**
   * The prefix of no tokens for those who store the same tokens in the same way: what is remembered under one is found under
   * no other.
   *
   * @param kind All that decides how they are stored; it is compared letter by letter, and kept as long as the allocator.
   * @returns The same prefix for the same kind.
   */
  root(kind: string): number {
    checkString("begin prefixes", "kind", kind);
    const root = this.#roots.get(kind) ?? this.#nextId++;
    this.#roots.set(kind, root);
    return root;
  }

  /**
   * Remembers that a held page has these tokens, after those of a prefix.
   *
   * @param prefix The prefix before them, as an earlier call or {@linkcode PageAllocator.root} returned it; 0 for none.
   * @param tokens As many as a page holds.
   * @param page The page that has them.
   * @returns The prefix that ends with them, which another page may have had before: that one then goes on being found.
   */
  remember(prefix: number, tokens: readonly number[], page: number): number {
    const action = "remember a page";
    checkInteger(action, "prefix", prefix, NO_PREFIX);
    checkNumbers(action, "tokens", tokens);
    this.#checkPages(action, [page]);
    this.#checkHeld(action, page, 1);
    const key = keyOf(prefix, tokens);
    const known = this.#entries.get(key);
    if (known) return known.id;
    this.forget(page);
    const entry = { id: this.#nextId++, page, key };
    this.#entries.set(key, entry);
    this.#entryOf.set(page, entry);
    return entry.id;
  }

  /**
   * Finds and holds the longest known prefix of these tokens, in whole pages.
   *
   * @param tokens Those of a prompt, from its first.
   * @param pageSize Tokens of a page.
   * @param root The prefix that they begin under. The default is 0.
   * @returns The pages, none where nothing is known, and the prefix that ends with the last of them.
   */
  recall(tokens: readonly number[], pageSize: number, root: number = NO_PREFIX): KnownPrefix {
    const known = this.#find(tokens, pageSize, root);
    this.hold(known.pages);
    return known;
  }

  /**
   * Pages of the longest known prefix of these tokens that somebody holds: sharing them takes none that is available.
   *
   * @param tokens Those of a prompt, from its first.
   * @param pageSize Tokens of a page.
   * @param root The prefix that they begin under. The default is 0.
   * @returns Their number.
   */
  shared(tokens: readonly number[], pageSize: number, root: number = NO_PREFIX): number {
    const { pages } = this.#find(tokens, pageSize, root);
    return pages.filter((page) => this.#holders[page] > 0).length;
  }

  /**
   * Forgets what a page holds, as it is about to be written.
   *
   * @param page Its number; nothing may be known of it.
   */
  forget(page: number): void {
    this.#checkPages("forget a page", [page]);
    const entry = this.#entryOf.get(page);
    if (!entry) return;
    this.#entries.delete(entry.key);
    this.#entryOf.delete(page);
    if (this.#idle.delete(entry)) this.#empty.push(page);
  }

  /** The longest known prefix of these tokens under a root. */
  #find(tokens: readonly number[], pageSize: number, root: number): KnownPrefix {
    checkNumbers("find a prefix", "tokens", tokens);
    checkInteger("find a prefix", "pageSize", pageSize);
    checkInteger("find a prefix", "root", root, NO_PREFIX);
    const pages: number[] = [];
    let prefix = root;
    for (let end = pageSize; end <= tokens.length; end += pageSize) {
      const entry = this.#entries.get(keyOf(prefix, tokens.slice(end - pageSize, end)));
      if (!entry) break;
      pages.push(entry.page);
      prefix = entry.id;
    }
    return { pages, prefix };
  }

  #checkPages(action: string, pages: readonly number[]): void {
    checkArray(action, "pages", pages);
    for (const page of pages) {
      checkInteger(action, "page", page, 0);
      if (page < this.numPages) continue;
      const { numPages } = this;
      throw new RangeError(sentence(action, "page must be below numPages", { page, numPages }));
    }
  }

  /** Throws unless a page has as many holders. */
  #checkHeld(action: string, page: number, times: number): void {
    const holders = this.#holders[page];
    if (holders >= times) return;
    const rule = "page must have as many holders (take or hold it first)";
    throw new RangeError(sentence(action, rule, { page, times, holders }));
  }

  #forgetOldest(): number {
    const [{ page }] = this.#idle;
    this.forget(page);
    return this.#empty.pop()!;
  }
}

function keyOf(prefix: number, tokens: readonly number[]): string {
  return `${prefix}:${tokens.join(",")}`;
}
