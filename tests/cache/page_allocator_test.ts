// Pages by number, against a plain model that remembers everything.
import { assertEquals, assertThrows } from "@std/assert";
import { PoolExhaustedError } from "../../mod.ts";
import { NO_PREFIX, PageAllocator } from "../../src/cache/page_allocator.ts";
import { testRandomly } from "../support/random.ts";

const PAGE = 2;

/** A sequence of the model: its tokens in whole pages, and the pages that hold them. */
interface Sequence {
  tokens: number[];
  pages: number[];
  prefix: number;
}

testRandomly("pages: 10,000 random operations agree with a model", (random) => {
  const numPages = 12;
  const allocator = new PageAllocator(numPages);
  const sequences: Sequence[] = [];
  /** What each page was last filled with: the whole text up to its end. */
  const contents: string[] = new Array(numPages).fill("");
  const held = () => new Set(sequences.flatMap(({ pages }) => pages));
  for (let i = 0; i < 10_000; i++) {
    const act = random.pick(["begin", "grow", "grow", "fork", "end"]);
    const at = random.integer(0, Math.max(0, sequences.length - 1));
    const sequence = sequences[at];
    if (act === "begin") {
      const tokens = Array.from(
        { length: PAGE * random.integer(0, 4) },
        () => random.integer(0, 1),
      );
      const { pages, prefix } = allocator.recall(tokens, PAGE);
      pages.forEach((page, n) =>
        assertEquals(contents[page], tokens.slice(0, PAGE * (n + 1)).join())
      );
      sequences.push({ tokens: tokens.slice(0, PAGE * pages.length), pages, prefix });
    } else if (!sequence) {
      continue;
    } else if (act === "grow") {
      const available = numPages - held().size;
      assertEquals(allocator.available, available);
      const count = random.integer(1, 3);
      if (count > available) {
        assertThrows(() => allocator.take(count), PoolExhaustedError, `available=${available}`);
        assertEquals(allocator.available, available);
        continue;
      }
      for (const page of allocator.take(count)) {
        assertEquals(held().has(page), false, "a page that is held was handed out");
        const tokens = Array.from({ length: PAGE }, () => random.integer(0, 1));
        sequence.tokens.push(...tokens);
        sequence.pages.push(page);
        contents[page] = sequence.tokens.join();
        sequence.prefix = allocator.remember(sequence.prefix, tokens, page);
      }
    } else if (act === "fork") {
      allocator.hold(sequence.pages);
      sequences.push({ ...sequence, tokens: [...sequence.tokens], pages: [...sequence.pages] });
    } else {
      allocator.release(sequence.pages);
      sequences.splice(at, 1);
    }
    for (let page = 0; page < numPages; page++) {
      const holders = sequences.filter(({ pages }) => pages.includes(page)).length;
      assertEquals(allocator.holders(page), holders);
    }
  }
  for (const { pages } of sequences) allocator.release(pages);
  assertEquals(allocator.available, numPages, "the pool is whole at the end");
});

Deno.test("pages: what was let go first is forgotten first, ends before beginnings", () => {
  const allocator = new PageAllocator(4);
  const fill = (text: number[]) => {
    const pages = allocator.take(text.length / PAGE);
    let prefix = NO_PREFIX;
    pages.forEach((page, i) => {
      prefix = allocator.remember(prefix, text.slice(PAGE * i, PAGE * (i + 1)), page);
    });
    return pages;
  };
  const [old, young] = [fill([1, 1, 2, 2]), fill([3, 3, 4, 4])];
  allocator.release(old);
  allocator.release(young);
  assertEquals([allocator.available, allocator.remembered], [4, 4]);
  assertEquals(allocator.take(1), [old[1]]); // the end of the older one
  assertEquals(allocator.recall([1, 1, 2, 2], PAGE).pages, [old[0]]);
  assertEquals(allocator.recall([3, 3, 4, 4, 5, 5], PAGE).pages, young);
  assertThrows(() => allocator.take(1), PoolExhaustedError, "count=1, available=0, numPages=4");
});

Deno.test("pages: the same tokens after others are another prefix, and what is written is forgotten", () => {
  const allocator = new PageAllocator(3);
  const [a, b, c] = allocator.take(3);
  const first = allocator.remember(NO_PREFIX, [1, 2], a);
  allocator.remember(first, [3, 4], b);
  assertEquals(allocator.remember(NO_PREFIX, [1, 2], c), first); // known already: a goes on being found
  assertEquals(allocator.recall([3, 4], PAGE).pages, []);
  assertEquals(allocator.recall([1, 2, 3], PAGE).pages, [a]);
  allocator.forget(a);
  assertEquals(allocator.recall([1, 2, 3, 4], PAGE).pages, []);
  assertThrows(() => new PageAllocator(0), RangeError, "numPages must be a whole number");
});

Deno.test("pages: what is not held is neither let go, held nor remembered, and nothing changes", () => {
  const allocator = new PageAllocator(3);
  const [a, b] = allocator.take(2);
  allocator.remember(NO_PREFIX, [1, 2], b);
  allocator.release([b]);
  const state = () => [allocator.available, allocator.remembered, allocator.holders(a)];
  const before = state();
  const wrong: [() => void, string][] = [
    [() => allocator.release([a, a]), `page=${a}, times=2, holders=1`],
    [() => allocator.release([a, b]), `page=${b}, times=1, holders=0`],
    [() => allocator.release([a, 2]), "page=2, times=1, holders=0"],
    [() => allocator.hold([a, b, 2]), "page=2"],
    [() => allocator.remember(NO_PREFIX, [3, 4], 2), "page=2, times=1, holders=0"],
    [() => allocator.remember(NO_PREFIX, [3, 4], b), `page=${b}, times=1, holders=0`],
  ];
  for (const [call, says] of wrong) {
    assertThrows(call, RangeError, says);
    assertEquals(state(), before);
  }
  assertEquals(allocator.recall([3, 4], PAGE).pages, []);
  allocator.hold([b, b]); // known tokens without a holder
  allocator.release([b, a, b]);
  assertEquals(new Set(allocator.take(3)).size, 3);
});

Deno.test("pages: what is remembered under one root is found under no other", () => {
  const allocator = new PageAllocator(3);
  const pages = allocator.take(3);
  const roots = [NO_PREFIX, allocator.root("a"), allocator.root("b")];
  pages.forEach((page, i) => allocator.remember(roots[i], [1, 2], page));
  roots.forEach((root, i) => {
    assertEquals(allocator.recall([1, 2], PAGE, root).pages, [pages[i]]);
    assertEquals(allocator.shared([1, 2], PAGE, root), 1);
  });
  assertEquals(["a", "b"].map((kind) => allocator.root(kind)), roots.slice(1));
});
