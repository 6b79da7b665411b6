// Which tokens a ring keeps, without a GPU.
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  appended,
  checkAppend,
  checkKept,
  checkReachable,
  type KeptTokens,
  type RingRules,
  ringRules,
  storedTokens,
  truncated,
} from "../../src/cache/ring_rules.ts";
import { testRandomly } from "../support/random.ts";

const RULES: readonly {
  given: Parameters<typeof ringRules>[1];
  window: number;
  overflow: "wrap" | "error";
}[] = [
  { given: { capacity: 16 }, window: 16, overflow: "error" },
  { given: { capacity: 16, maxSeqLen: 4 }, window: 13, overflow: "error" },
  { given: { capacity: 16, window: 5 }, window: 5, overflow: "wrap" },
  { given: { capacity: 16, window: 5, overflow: "error" }, window: 5, overflow: "error" },
  { given: { capacity: 16, overflow: "wrap" }, window: 16, overflow: "wrap" },
  { given: { capacity: 16, overflow: "wrap", maxSeqLen: 16 }, window: 1, overflow: "wrap" },
  { given: { capacity: 16, window: 13, maxSeqLen: 4 }, window: 13, overflow: "wrap" },
  { given: { capacity: 1 }, window: 1, overflow: "error" },
  { given: { capacity: 16, sinks: 3 }, window: 13, overflow: "error" },
  {
    given: { capacity: 16, sinks: 3, overflow: "wrap", maxSeqLen: 13 },
    window: 1,
    overflow: "wrap",
  },
  { given: { capacity: 16, sinks: 3, window: 10, maxSeqLen: 4 }, window: 10, overflow: "wrap" },
];

Deno.test("ring rules: what is not given follows from what is", () => {
  for (const { given, window, overflow } of RULES) {
    const { capacity, sinks = 0 } = given;
    assertEquals(ringRules("test", given), { capacity, sinks, window, overflow });
  }
});

Deno.test("ring rules: name the action, the rule and the values", () => {
  const create = () => ringRules("make a ring", { capacity: 512, window: 512, maxSeqLen: 16 });
  const says = "Cannot make a ring as capacity must be >= sinks + window + maxSeqLen - 1: " +
    "current values capacity=512, sinks=0, window=512, maxSeqLen=16";
  assertThrows(create, RangeError, says);
});

/** Whether `work` may go on. */
function isAllowed(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

Deno.test('append: with "error" up to the capacity and no further', () => {
  const rules = { capacity: 10, sinks: 2, window: 3, overflow: "error" } as const;
  for (let length = 0; length <= 10; length++) {
    for (let seqLen = 1; seqLen <= 12; seqLen++) {
      const isExpected = length + seqLen <= 10;
      assertEquals(isAllowed(() => checkAppend(rules, length, seqLen)), isExpected);
    }
  }
});

/** The oldest token besides the sinks that such a ring still has, 0 while it has all. */
function oldestOf(
  length: number,
  { capacity, sinks }: { capacity: number; sinks: number },
): number {
  return length > capacity ? length - (capacity - sinks) : 0;
}

/** Whether a ring to which `length` tokens were appended one by one still has the sinks and all tokens from `first` on. */
function keepsAll(
  { capacity, sinks }: { capacity: number; sinks: number },
  length: number,
  first: number,
): boolean {
  const slots: number[] = [];
  for (let t = 0; t < length; t++) {
    slots[t < sinks ? t : sinks + (t - sinks) % (capacity - sinks)] = t;
  }
  const tokens = Array.from({ length }, (_, t) => t).filter((t) => t < sinks || t >= first);
  return tokens.every((t) => slots.includes(t));
}

testRandomly('append: with "wrap" as long as the first new query keeps its window', (random) => {
  for (let round = 0; round < 1000; round++) {
    const capacity = random.integer(1, 12);
    const sinks = random.integer(0, capacity - 1);
    const window = random.integer(1, capacity - sinks);
    const length = random.integer(0, 40);
    const seqLen = random.integer(1, 14);
    const isKept = keepsAll({ capacity, sinks }, length + seqLen, length + 1 - window);
    const rules = { capacity, sinks, window, overflow: "wrap" } as const;
    assertEquals(
      isAllowed(() => checkAppend(rules, length, seqLen)),
      isKept,
      `${JSON.stringify(rules)}, length ${length}, seqLen ${seqLen}`,
    );
  }
});

testRandomly("append: maxSeqLen tokens always fit a ring that wraps", (random) => {
  for (let round = 0; round < 1000; round++) {
    const capacity = random.integer(1, 30);
    const maxSeqLen = random.integer(1, capacity);
    const sinks = random.integer(0, capacity - maxSeqLen);
    const rules = ringRules("test", { capacity, sinks, maxSeqLen, overflow: "wrap" });
    checkAppend(rules, random.integer(0, 100), random.integer(1, maxSeqLen));
    assert(!isAllowed(() => checkAppend(rules, capacity, maxSeqLen + 1)), "the most is the most");
  }
});

testRandomly("kept: whatever the earliest query sees must be there still", (random) => {
  for (let round = 0; round < 1000; round++) {
    const capacity = random.integer(1, 12);
    const window = random.next() < 0.2 ? undefined : random.integer(1, 14);
    const length = random.integer(1, 40);
    const seqLen = random.integer(1, 14);
    const sinks = random.integer(0, capacity - 1);
    const firstSeen = length - seqLen + 1 - (window ?? Infinity);
    assertEquals(
      isAllowed(() =>
        checkKept("test", { length, oldest: oldestOf(length, { capacity, sinks }) }, {
          sinks,
          window,
          seqLen,
        })
      ),
      keepsAll({ capacity, sinks }, length, firstSeen),
      `capacity ${capacity}, sinks ${sinks}, window ${window}, length ${length}, seqLen ${seqLen}`,
    );
  }
});

testRandomly("kept: what may be appended may be attended to", (random) => {
  for (let round = 0; round < 1000; round++) {
    const capacity = random.integer(1, 12);
    const maxSeqLen = random.integer(1, capacity);
    const sinks = random.integer(0, capacity - maxSeqLen);
    const rules = ringRules("test", { capacity, sinks, maxSeqLen, overflow: "wrap" });
    const length = random.integer(0, 40);
    const seqLen = random.integer(1, capacity);
    if (!isAllowed(() => checkAppend(rules, length, seqLen))) continue;
    const oldest = oldestOf(length + seqLen, rules);
    checkKept("test", { length: length + seqLen, oldest }, { ...rules, seqLen });
  }
});

testRandomly(
  "truncate: whatever it allows, the slots have; what it refuses, they lack",
  (random) => {
    for (let round = 0; round < 300; round++) {
      const capacity = random.integer(1, 12);
      const maxSeqLen = random.integer(1, capacity);
      const sinks = random.pick([0, random.integer(0, capacity - maxSeqLen)]);
      const rules = ringRules("test", { capacity, sinks, maxSeqLen, overflow: "wrap" });
      // Which position lies in each slot: what a ring is, without any of its arithmetic.
      const slots: number[] = new Array(capacity).fill(-1);
      const slotOf = (position: number) =>
        position < sinks ? position : sinks + (position - sinks) % (capacity - sinks);
      let kept: KeptTokens = { oldest: 0, length: 0 };
      for (let step = 0; step < 40; step++) {
        const hasWindow = (length: number) =>
          [
            ...Array.from({ length: Math.min(sinks, length) }, (_, i) => i),
            ...Array.from({ length: rules.window - 1 }, (_, i) => length - 1 - i),
          ].every((position) => position < 0 || slots[slotOf(position)] === position);
        const length = random.integer(0, kept.length + 1);
        // With a window of one, the next token needs no other; what is left still ends no earlier than it begins.
        const isExpected = length <= kept.length &&
          (length <= sinks || length >= kept.oldest && hasWindow(length));
        assertEquals(isAllowed(() => truncated("test", rules, kept, length)), isExpected);
        if (isExpected && random.next() < 0.5) kept = truncated("test", rules, kept, length);
        checkReachable("test", rules, kept);
        const seqLen = random.integer(0, maxSeqLen);
        for (let i = 0; i < seqLen; i++) slots[slotOf(kept.length + i)] = kept.length + i;
        kept = appended(rules, kept, seqLen);
        checkReachable("test", rules, kept);
        assert(hasWindow(kept.length), "the next token has its window");
      }
    }
  },
);

testRandomly("truncate: the last append can always be taken back", (random) => {
  for (let round = 0; round < 1000; round++) {
    const capacity = random.integer(1, 12);
    const maxSeqLen = random.integer(1, capacity);
    const rules = ringRules("test", { capacity, maxSeqLen, overflow: "wrap" });
    let kept: KeptTokens = { oldest: 0, length: 0 };
    for (let step = 0; step < 9; step++) {
      const after = appended(rules, kept, random.integer(1, maxSeqLen));
      truncated("test", rules, after, kept.length);
      kept = after;
    }
  }
});

Deno.test("truncate: says by how much it is too late, and the cure", () => {
  const rules = { capacity: 10, sinks: 0, window: 4, overflow: "wrap" } as const;
  const says = "(truncate to at least oldest + window - 1, or clear): " +
    "current values length=20, overwritten=3, oldest=20, window=4";
  assertThrows(() => truncated("test", rules, { oldest: 20, length: 30 }, 20), RangeError, says);
  assertEquals(truncated("test", rules, { oldest: 20, length: 30 }, 23), {
    oldest: 20,
    length: 23,
  });
});

Deno.test("stored tokens: all of them up to the capacity", () => {
  assertEquals([0, 1, 4, 5, 6, 500].map((length) => storedTokens(length, 5)), [0, 1, 4, 5, 5, 5]);
});

Deno.test("ring: another alignment than bottom-right holds until the ring wraps", () => {
  const needs = { seqLen: 1, sinks: 0, window: 2, alignment: "top-left" } as const;
  checkKept("test", { length: 5, oldest: 0 }, needs);
  const wrapped = { length: 6, oldest: 1 };
  assertThrows(() => checkKept("test", wrapped, needs), RangeError, 'alignment="top-left"');
  assertThrows(
    () => checkKept("test", wrapped, { ...needs, alignment: 3 }),
    RangeError,
    "alignment=3",
  );
  checkKept("test", wrapped, { ...needs, alignment: "bottom-right" });
});

Deno.test("reachable: what no append and no rollback leads to is refused", () => {
  const wraps = { capacity: 10, sinks: 2, window: 4, overflow: "wrap" } as const;
  const keeps = { ...wraps, overflow: "error" } as const;
  const reached: [RingRules, KeptTokens][] = [
    [wraps, { oldest: 0, length: 0 }],
    [wraps, { oldest: 0, length: 10 }],
    [wraps, { oldest: 3, length: 11 }],
    [wraps, { oldest: 8, length: 11 }], // after a rollback
    [wraps, { oldest: 2 ** 31 - 9, length: 2 ** 31 - 1 }],
    [keeps, { oldest: 0, length: 10 }],
  ];
  for (const [rules, kept] of reached) checkReachable("test", rules, kept);
  const unreached: [RingRules, Record<string, unknown>, typeof TypeError | typeof RangeError][] = [
    [wraps, { oldest: 0, length: 11 }, RangeError], // slots that were overwritten
    [wraps, { oldest: 2, length: 11 }, RangeError],
    [wraps, { oldest: 9, length: 11 }, RangeError], // the next token would miss some of its window
    [wraps, { oldest: 1, length: 9 }, RangeError], // a sink
    [wraps, { oldest: 0, length: 2 ** 31 }, RangeError],
    [wraps, { oldest: -1, length: 5 }, RangeError],
    [wraps, { oldest: 0.5, length: 5 }, RangeError],
    [wraps, { oldest: "0", length: 5 }, TypeError],
    [wraps, { oldest: 0 }, TypeError],
    [keeps, { oldest: 0, length: 11 }, RangeError],
    [keeps, { oldest: 3, length: 9 }, RangeError],
  ];
  for (const [rules, kept, throws] of unreached) {
    assertThrows(() => checkReachable("test", rules, kept as unknown as KeptTokens), throws);
  }
});

Deno.test("append: a sequence ends before positions leave 31 bits", () => {
  const rules = { capacity: 10, sinks: 0, window: 4, overflow: "wrap" } as const;
  checkAppend(rules, 2 ** 31 - 2, 1);
  assertThrows(
    () => checkAppend(rules, 2 ** 31 - 1, 1),
    RangeError,
    "below 2^31 tokens (clear it)",
  );
});
