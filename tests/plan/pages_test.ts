// The pages of a pool: as large as sequences permit without wasting more than a 32nd of their tokens.
import { assert, assertEquals } from "@std/assert";
import { planPages } from "../../mod.ts";
import { testRandomly } from "../support/random.ts";
import { testRefusals } from "../support/refusals.ts";

Deno.test("pages: sizes by the length of sequences", () => {
  const sizes = [1, 100, 511, 512, 1023, 1024, 2047, 2048, 100_000].map((sequenceTokens) =>
    planPages({ tokens: 1e6, sequenceTokens }).pageSize
  );
  assertEquals(sizes, [16, 16, 16, 32, 32, 64, 64, 128, 128]);
  assertEquals(planPages({ tokens: 1025, sequenceTokens: 512 }), { pageSize: 32, numPages: 33 });
});

testRandomly(
  "pages: half of a page is at most a 32nd of a sequence, unless pages are the smallest",
  (random) => {
    for (let i = 0; i < 100; i++) {
      const sequenceTokens = random.integer(1, 5000);
      const tokens = sequenceTokens * random.integer(1, 99);
      const { pageSize, numPages } = planPages({ tokens, sequenceTokens });
      assert(pageSize === 16 || pageSize / 2 <= sequenceTokens / 32, `${pageSize}`);
      assert(pageSize === 128 || pageSize > sequenceTokens / 32, "the next size wastes more");
      assert(
        numPages * pageSize >= tokens && (numPages - 1) * pageSize < tokens,
        "they hold all tokens",
      );
    }
  },
);

const USE = { tokens: 100, sequenceTokens: 10 };
testRefusals("pages", [
  ["no object", () => planPages(null as never), TypeError, "use=null"],
  ["no number", () => planPages({ ...USE, tokens: "9" as never }), TypeError, 'tokens="9"'],
  [
    "half a token",
    () => planPages({ ...USE, sequenceTokens: 0.5 }),
    RangeError,
    "sequenceTokens=0.5",
  ],
  [
    "a sequence beyond the pool",
    () => planPages({ ...USE, sequenceTokens: 101 }),
    RangeError,
    "tokens=100",
  ],
]);
