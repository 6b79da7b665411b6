// What workers send of tables of quality, and what is refused of it.
import { assertEquals, assertThrows } from "@std/assert";
import { readRow, readText } from "../../../../cli/shared/cluster/quality_jobs.ts";
import { needOf } from "../../../../cli/shared/quality/variant.ts";
import { MessageError } from "../../../../src/cluster/mod.ts";
import { KV_DTYPES } from "../../../../src/tensor/dtype.ts";

Deno.test("quality by workers: a text is of the length and the vocabulary that were asked for", () => {
  assertEquals(readText({ tokens: [3, 0, 8] }, 3, 9), [3, 0, 8]);
  const refused = (value: unknown, says: string) =>
    assertThrows(() => readText(value, 3, 9), MessageError, says);
  refused({ tokens: [3, 0] }, "length=2, asked=3");
  refused({ tokens: [3, 0, 8, 1] }, "length=4, asked=3");
  refused({ tokens: [3, 9, 8] }, "token=9, vocabSize=9");
  refused({ tokens: [3, -1, 8] }, "Cannot read a text");
  refused([3, 0, 8], "Cannot read a text");
});

Deno.test("quality by workers: a row has figures, of each token but the first", () => {
  const adapter = { description: "an adapter", isSoftware: false };
  const measured = { score: { nlls: [1, 2], likeliest: [3, 4] }, cacheBytes: 5 };
  assertEquals(readRow({ adapter, measured }, 3), { adapter, measured });
  const refused = (value: unknown, says: string) =>
    assertThrows(() => readRow(value, 3), MessageError, says);
  refused({ adapter }, "Cannot read a row");
  const short = { ...measured, score: { nlls: [1, 2], likeliest: [3] } };
  refused({ adapter, measured: short }, "tokens=3, likeliest=1");
});

Deno.test("quality by workers: rows whose caches are in f16 need an adapter that has it", () => {
  const needs = KV_DTYPES.map((kvDtype) => [kvDtype, needOf({ kvDtype })]);
  assertEquals(needs.filter(([, need]) => need !== undefined), [["f16", "f16"]]);
});
