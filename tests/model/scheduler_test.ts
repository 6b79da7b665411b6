// The scheduler of steps, against pages that are counted by hand and a clock of steps.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { PoolExhaustedError } from "../../src/base/errors.ts";
import { type PageCounts, Scheduler, type Step } from "../../src/model/scheduler.ts";
import { type Random, testRandomly } from "../support/random.ts";

/** Pages by the tokens that each sequence has in them; a step that takes more than there are fails. */
class Pages implements PageCounts {
  readonly total: number;
  readonly pageSize: number;
  readonly tokens = new Map<number, number>();

  constructor(total: number, pageSize: number) {
    this.total = total;
    this.pageSize = pageSize;
  }

  get available(): number {
    return this.total - [...this.tokens.keys()].reduce((sum, one) => sum + this.freedBy(one), 0);
  }

  needed(sequence: number, tokens: number): number {
    const has = this.tokens.get(sequence) ?? 0;
    return Math.ceil((has + tokens) / this.pageSize) - this.freedBy(sequence);
  }

  freedBy(sequence: number): number {
    return Math.ceil((this.tokens.get(sequence) ?? 0) / this.pageSize);
  }

  /** Does a step, which must go on where each sequence is. */
  run({ setBack, work }: Step): void {
    for (const sequence of setBack) this.tokens.delete(sequence);
    for (const { sequence, first, count } of work) {
      assertEquals(this.tokens.get(sequence) ?? 0, first, `sequence ${sequence}`);
      this.tokens.set(sequence, first + count);
    }
    assert(this.available >= 0, "a step must fit the pages");
  }
}

const nothing = () => 0;
const counts = ({ work }: Step) => work.map(({ sequence, count }) => [sequence, count]);

Deno.test("Scheduler: decode steps first, then chunks of prompts, in the order of their coming", () => {
  const pages = new Pages(100, 4);
  const scheduler = new Scheduler({ maxRunning: 3, maxStepTokens: 8 });
  const next = () => {
    const step = scheduler.next(pages, nothing);
    pages.run(step);
    return counts(step);
  };
  scheduler.add(0, { length: 3, maxTokens: 6 }, pages);
  scheduler.add(1, { length: 12, maxTokens: 20 }, pages);
  scheduler.add(5, { length: 2, maxTokens: 20 }, pages);
  scheduler.add(6, { length: 2, maxTokens: 20 }, pages);
  assertEquals(next(), [[0, 3], [1, 5]]);
  assertEquals(next(), [[0, 1], [1, 7]]);
  // The third of three that run together.
  assertEquals(next(), [[0, 1], [1, 1], [5, 2]]);
  // The first has its 6 tokens, of which the last need not be fed.
  assertEquals(next(), [[1, 1], [5, 1]]);
  assertEquals([scheduler.running, scheduler.waiting], [3, 1]);
  scheduler.end(0);
  pages.tokens.delete(0);
  assertEquals(next(), [[1, 1], [5, 1], [6, 2]]);
  assertEquals([scheduler.running, scheduler.waiting], [3, 0]);
});

Deno.test("Scheduler: a prompt that is known in part begins behind it", () => {
  const pages = new Pages(10, 4);
  const scheduler = new Scheduler({ maxRunning: 2, maxStepTokens: 16 });
  scheduler.add(0, { length: 11, maxTokens: 12 }, pages);
  const step = scheduler.next(pages, (sequence) => {
    assertEquals(sequence, 0);
    return 8;
  });
  assertEquals(step.work, [{ sequence: 0, first: 8, count: 3, isNewest: true }]);
});

Deno.test("Scheduler: when pages run out the youngest is set back, and begins anew before those that came later", () => {
  const pages = new Pages(4, 2);
  const scheduler = new Scheduler({ maxRunning: 3, maxStepTokens: 8 });
  const next = () => {
    const step = scheduler.next(pages, nothing);
    pages.run(step);
    return step;
  };
  scheduler.add(0, { length: 2, maxTokens: 7 }, pages);
  scheduler.add(1, { length: 1, maxTokens: 5 }, pages);
  scheduler.add(2, { length: 1, maxTokens: 4 }, pages);
  // The pages are promised to tokens of the next step, too.
  assertEquals(counts(next()), [[0, 2], [1, 1], [2, 1]]);
  assertEquals(counts(next()), [[0, 1], [1, 1], [2, 1]]);
  const third = next();
  assertEquals([third.setBack, counts(third)], [[2], [[0, 1], [1, 1]]]);
  // The second sequence needs a page, and waits for the first.
  const fourth = next();
  assertEquals([fourth.setBack, counts(fourth)], [[1], [[0, 1]]]);
  assertEquals([scheduler.running, scheduler.waiting], [1, 2]);
  scheduler.add(3, { length: 1, maxTokens: 2 }, pages);
  assertEquals(counts(next()), [[0, 1]]);
  scheduler.end(0);
  pages.tokens.delete(0);
  // With the tokens that it had.
  const begun = next();
  assertEquals(counts(begun)[0], [1, 4]);
  assertEquals(begun.work[0].first, 0);
});

Deno.test("Scheduler: what can never run is refused, and pages that others hold are an error", () => {
  const pages = new Pages(4, 2);
  assertThrows(() => new Scheduler({ maxRunning: 3, maxStepTokens: 2 }), RangeError, "at least 3");
  const scheduler = new Scheduler({ maxRunning: 3, maxStepTokens: 8 });
  const add = (sequence: number, length: number, maxTokens: number) =>
    scheduler.add(sequence, { length, maxTokens }, pages);
  assertThrows(() => add(0, 2, 9), RangeError, "maxTokens=9, pages=4, pageSize=2");
  assertThrows(() => add(0, 2, 2), RangeError, "maxTokens must be");
  assertThrows(() => add(0, 0, 2), RangeError, "length must be");
  add(3, 2, 8);
  assertThrows(() => add(3, 2, 8), RangeError, "sequence must be");
  pages.run(scheduler.next(pages, nothing));
  pages.tokens.set(-1, 6);
  assertThrows(() => scheduler.next(pages, nothing), PoolExhaustedError, "sequence=3, needed=1");
});

/** Runs sequences that come and go at random until none is left. */
function simulate(random: Random): { setBacks: number; mostRunning: number; steps: number } {
  const pages = new Pages(random.integer(6, 30), random.integer(1, 8));
  const maxRunning = random.integer(1, 8);
  const maxStepTokens = random.integer(maxRunning, 3 * maxRunning + 8);
  const scheduler = new Scheduler({ maxRunning, maxStepTokens });
  /** Lengths of the sequences that are under way, the chosen tokens included. */
  const under = new Map<number, { length: number; maxTokens: number }>();
  const running = new Set<number>();
  const joined = new Set<number>();
  let [added, setBacks, mostRunning, steps] = [0, 0, 0, 0];
  while (added < 40 || under.size > 0) {
    assert(steps++ < 20_000, "every sequence ends");
    if (added < 40 && random.next() < 0.4) {
      const maxTokens = random.integer(2, pages.total * pages.pageSize);
      const length = random.integer(1, maxTokens - 1);
      scheduler.add(added, { length, maxTokens }, pages);
      under.set(added++, { length, maxTokens });
    }
    const step = scheduler.next(pages, (sequence) => {
      assert(!running.has(sequence));
      running.add(sequence);
      if (!joined.has(sequence)) {
        assertEquals(joined.size === 0 || Math.max(...joined) < sequence, true, "in their order");
      }
      joined.add(sequence);
      return 0;
    });
    for (const sequence of step.setBack) {
      running.delete(sequence);
      setBacks++;
      const isOver = under.get(sequence)!.length === under.get(sequence)!.maxTokens;
      const younger = [...running].filter((one) => one > sequence);
      if (!isOver) assertEquals(younger, [], "the youngest is set back");
    }
    const decoding = [...running].filter((sequence) => {
      const { length, maxTokens } = under.get(sequence)!;
      return length < maxTokens && pages.tokens.get(sequence) === length - 1;
    });
    pages.run(step);
    const worked = new Set(step.work.map(({ sequence }) => sequence));
    assertEquals(worked.size, step.work.length, "a sequence runs once in a step");
    for (const sequence of decoding) assert(worked.has(sequence), "each decodes in every step");
    assert(step.work.reduce((sum, { count }) => sum + count, 0) <= maxStepTokens);
    assert(step.work.every(({ count }) => count > 0));
    mostRunning = Math.max(mostRunning, running.size);
    assert(running.size <= maxRunning);
    for (const { sequence, first, count, isNewest } of step.work) {
      const one = under.get(sequence)!;
      assertEquals(isNewest, first + count === one.length);
      if (isNewest) one.length++;
      assert(one.length <= one.maxTokens);
    }
    // Whoever has all tokens ends, some steps later; some are given up before.
    for (const [sequence, { length, maxTokens }] of under) {
      const isOver = length === maxTokens && random.next() < 0.5;
      if (!isOver && random.next() > 0.001) continue;
      scheduler.end(sequence);
      pages.tokens.delete(sequence);
      under.delete(sequence);
      running.delete(sequence);
    }
    const known = under.size - droppedOf(under, running);
    assertEquals(scheduler.running + scheduler.waiting, known);
  }
  assertEquals([scheduler.running, scheduler.waiting, pages.available], [0, 0, pages.total]);
  return { setBacks, mostRunning, steps };
}

/** Sequences that have all their tokens and were set back: the scheduler knows them no longer. */
function droppedOf(
  under: ReadonlyMap<number, { length: number; maxTokens: number }>,
  running: ReadonlySet<number>,
): number {
  return [...under].filter(([sequence, { length, maxTokens }]) =>
    length === maxTokens && !running.has(sequence)
  ).length;
}

testRandomly("Scheduler: any coming and going ends, within the pages and the budget", (random) => {
  let [setBacks, together] = [0, 0];
  for (let round = 0; round < 30; round++) {
    const { setBacks: some, mostRunning } = simulate(random);
    setBacks += some;
    together = Math.max(together, mostRunning);
  }
  assert(setBacks > 10, `${setBacks} set-backs`);
  assert(together > 2, `${together} ran together`);
});
