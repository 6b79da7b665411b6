import { assertEquals } from "@std/assert";
import { rowRanges } from "../../src/gpu/row_ranges.ts";
import { testRandomly } from "../support/random.ts";

const LIMITS = { maxUniformBufferBindingSize: 65536, minUniformBufferOffsetAlignment: 256 };

testRandomly(
  "rowRanges: every row is in one range, which begins and ends where a binding may",
  (random) => {
    for (let i = 0; i < 200; i++) {
      const rows = random.integer(1, 5000);
      const rowBytes = 16 * random.integer(1, 128);
      const ranges = rowRanges(LIMITS, rows, rowBytes);
      let next = 0;
      for (const { firstRow, rows, offset, size } of ranges) {
        assertEquals({ firstRow, offset, size }, {
          ...{ firstRow: next, offset: next * rowBytes, size: rows * rowBytes },
        });
        assertEquals([offset % 256, size <= 65536], [0, true]);
        next += rows;
      }
      assertEquals(next, rows);
    }
  },
);

Deno.test("rowRanges: what fits is one range, and rows of which few fit have none", () => {
  assertEquals(rowRanges(LIMITS, 3, 16).length, 1);
  assertEquals(rowRanges(LIMITS, 1, 65536).length, 1);
  assertEquals(rowRanges(LIMITS, 1, 65552), []);
  assertEquals(rowRanges(LIMITS, 64, 2048).length, 2);
  assertEquals(rowRanges(LIMITS, 64, 2064), []);
});
