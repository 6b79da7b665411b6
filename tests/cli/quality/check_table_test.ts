// What workers would refuse of a table is refused before any of it is measured.
import { assert, assertThrows } from "@std/assert";
import { checkTable } from "../../../cli/quality/check_table.ts";
import { readRow, rowBytes } from "../../../cli/shared/cluster/quality_jobs.ts";
import type { Variant } from "../../../cli/shared/quality/variant.ts";

const checkpoint = { spec: { vocabSize: 32_000 } };
const drawing = { checkpoint, tokenizer: { encode: () => [1], endOfText: [] } };
const silent = { checkpoint, tokenizer: { encode: () => [], endOfText: [] } };
const plain: Variant = { change: "none", kvDtype: "f32", numKvHeads: 2 };
const merged: Variant = { ...plain, change: "KV heads", numKvHeads: 1, pool: "merged" };
const settings = { calibration: 2 ** 20 };
const MOST = 2 ** 20;

Deno.test("quality --nats: a table that workers can measure is taken", () => {
  checkTable(drawing, { text: 30_000, variants: [plain, merged] }, settings, MOST);
  checkTable(silent, { text: [1, 2], variants: [plain] }, settings, MOST);
});

Deno.test("quality --nats: texts that no token begins, too many tokens, and rows too large", () => {
  const table = { text: [1, 2], variants: [plain, merged] };
  assertThrows(() => checkTable(silent, table, settings, MOST), RangeError, "give --text");
  const drawn = { text: 2, variants: [plain] };
  assertThrows(() => checkTable(silent, drawn, settings, MOST), RangeError, "give --text");
  assertThrows(
    () => checkTable(drawing, table, { calibration: 2 ** 20 + 1 }, MOST),
    ...[RangeError, "calibration=1048577, most=1048576"] as const,
  );
  for (const text of [42_000, Array(42_000).fill(1)]) {
    assertThrows(
      () => checkTable(drawing, { text, variants: [plain] }, settings, MOST),
      ...[RangeError, "tokens=42000"] as const,
    );
  }
});

Deno.test("quality --nats: no row has more bytes than is said", () => {
  const tokens = 1000;
  const row = {
    adapter: { description: "", isSoftware: false },
    measured: {
      score: {
        nlls: Array(tokens - 1).fill(1.2345678901234567e-100),
        likeliest: Array(tokens - 1).fill(31_999),
      },
      cacheBytes: 1,
    },
  };
  readRow(row, tokens);
  const { length } = JSON.stringify(row);
  const most = rowBytes(tokens, 32_000);
  assert(length > most - 2 ** 16 - tokens && length < most, `${length}, most ${most}`);
});
