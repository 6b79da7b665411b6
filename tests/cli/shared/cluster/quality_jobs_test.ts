// What workers send of tables of quality, and what is refused of it.
import { assertEquals, assertThrows } from "@std/assert";
import { readRow, readText } from "../../../../cli/shared/cluster/quality_jobs.ts";
import type { Variant } from "../../../../cli/shared/quality/variant.ts";
import { MessageError } from "../../../../src/cluster/mod.ts";

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

Deno.test("quality by workers: a row has no figures only where an adapter may lack its types", () => {
  const adapter = { description: "an adapter", isSoftware: false };
  const variant = (kvDtype: Variant["kvDtype"]): Variant => ({
    ...{ change: "none", kvDtype, numKvHeads: 2 },
  });
  assertEquals(readRow({ adapter }, 3, variant("f16")), { adapter });
  for (const kvDtype of ["f32", "int8", "int4"] as const) {
    assertThrows(
      () => readRow({ adapter }, 3, variant(kvDtype)),
      ...[MessageError, `kvDtype="${kvDtype}"`] as const,
    );
  }
});
