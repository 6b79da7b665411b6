import { assertEquals } from "@std/assert";
import { uniformRanges } from "../../src/plan/uniform_ranges.ts";
import { testRandomly } from "../support/random.ts";

testRandomly(
  "uniformRanges: each unit lies in one binding, which every device allows",
  (random) => {
    let cut = 0;
    for (let i = 0; i < 500; i++) {
      const [count, rows] = [random.integer(1, 40), random.integer(1, 3000)];
      const rowBytes = Array.from(
        { length: random.integer(1, 3) },
        () => 16 * random.integer(1, 8),
      );
      const cutUnits = uniformRanges({ count, rows, rowBytes });
      if (!cutUnits) {
        // A unit fills a binding, but for what lies between it and the multiples at either end.
        assertEquals((rows + 32) * Math.max(...rowBytes) > 65536, true);
        continue;
      }
      let next = 0;
      for (const { firstUnit, numUnits, firstRow } of cutUnits.ranges) {
        const end = firstRow + cutUnits.rows;
        assertEquals(firstUnit, next);
        assertEquals(firstRow <= firstUnit * rows, true);
        assertEquals(end >= (firstUnit + numUnits) * rows && end <= count * rows, true);
        for (const bytes of rowBytes) {
          assertEquals([firstRow * bytes % 256, cutUnits.rows * bytes <= 65536], [0, true]);
        }
        next += numUnits;
      }
      assertEquals(next, count);
      if (cutUnits.ranges.length > 1) {
        cut++;
      }
    }
    assertEquals(cut > 50, true);
  },
);

Deno.test("uniformRanges: what fits is one range, also where it is small and odd", () => {
  const ranges = [{ firstUnit: 0, numUnits: 3, firstRow: 0 }];
  assertEquals(uniformRanges({ count: 3, rows: 5, rowBytes: [16] }), { rows: 15, ranges });
  assertEquals(uniformRanges({ count: 1, rows: 4097, rowBytes: [16] }), undefined);
});

Deno.test("uniformRanges: no more ranges than dispatches that cheap loads are worth", () => {
  const unit = { rows: 4096, rowBytes: [16, 16] };
  assertEquals(uniformRanges({ count: 4096, ...unit })?.ranges.length, 4096);
  assertEquals(uniformRanges({ count: 4097, ...unit }), undefined);
});

Deno.test("uniformRanges: 16 sequences of 255 rows over 1, 2 and 8 heads of 8", () => {
  const numbers = [1, 2, 8].map((heads) =>
    uniformRanges({ count: 16, rows: 255 * heads, rowBytes: [32, 32] })?.ranges.length
  );
  assertEquals(numbers, [2, 4, 16]);
});
