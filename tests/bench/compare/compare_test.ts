// Two reports against each other, by times made by hand.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { compareReports, type Verdict } from "../../../bench/compare/compare.ts";
import { runCompare } from "../../../bench/compare/command.ts";
import { formatComparison } from "../../../bench/compare/table.ts";
import type { Report, Result, Roofline } from "../../../bench/result.ts";
import { makeReport, makeResult } from "../../support/bench_reports.ts";
import { inFolder } from "../../support/checkpoint_files.ts";
import { run } from "../../support/commands.ts";

const BEFORE = { minMs: 9, medianMs: 10, p90Ms: 12, samples: 11 };

/** A report of rows on an adapter that is so much slower than another. */
function reportOf(rows: Partial<Result>[], slower: Partial<Roofline> = {}): Report {
  const report = makeReport(rows.map(makeResult));
  return { ...report, roofline: { ...report.roofline, ...slower } };
}

/** The verdict over a row that takes 9 to 12 ms before. */
function verdict(
  after: Partial<Result>,
  { before = {}, roofline = {} }: { before?: Partial<Result>; roofline?: Partial<Roofline> } = {},
): Verdict {
  const [first] = compareReports(
    reportOf([{ ...BEFORE, ...before }]),
    reportOf([{ ...BEFORE, ...after }], roofline),
  ).rows;
  return first.verdict;
}

Deno.test("compare: a row changed where its times lie beyond those before", () => {
  assertEquals(verdict({}), "same");
  assertEquals(verdict({ minMs: 8, medianMs: 8.5, p90Ms: 8.99 }), "faster");
  assertEquals(verdict({ minMs: 8, medianMs: 8.5, p90Ms: 9 }), "same");
  assertEquals(verdict({ minMs: 12.01, medianMs: 13, p90Ms: 14 }), "slower");
  assertEquals(verdict({ minMs: 12, medianMs: 13, p90Ms: 14 }), "same");
});

Deno.test("compare: what the adapter itself became is no change of the code", () => {
  const twice = { minMs: 18, medianMs: 20, p90Ms: 24 };
  assertEquals(verdict(twice), "slower");
  // Copies take twice the time as well (20 GB/s before).
  assertEquals(verdict(twice, { roofline: { copyGBps: 10 } }), "same");
  // A row that is bound by operations does not care for them (1234.5 GFLOP/s before).
  const before = { boundBy: "operations" } as const;
  assertEquals(verdict(twice, { before, roofline: { copyGBps: 10 } }), "slower");
  assertEquals(verdict(twice, { before, roofline: { fmaGFlops: 617.25 } }), "same");
  // Nor is it a gain to have kept up with an adapter that became slower.
  assertEquals(verdict({}, { roofline: { copyGBps: 10 } }), "same");
  const half = { minMs: 4, medianMs: 5, p90Ms: 6 };
  assertEquals(verdict(half, { roofline: { copyGBps: 40 } }), "same");
  assertEquals(verdict(half, { roofline: { copyGBps: 10 } }), "faster");
});

Deno.test("compare: few samples, failures, rows of one report alone", () => {
  const faster = { minMs: 1, medianMs: 1, p90Ms: 1 };
  assertEquals(verdict({ ...faster, samples: 4 }), "unknown");
  assertEquals(verdict(faster, { before: { samples: 4 } }), "unknown");
  assertEquals(verdict({ failure: "wrong" }), "fails now");
  assertEquals(verdict({}, { before: { failure: "wrong" } }), "works now");
  assertEquals(verdict({ failure: "wrong" }, { before: { failure: "wrong" } }), "fails");

  const rows: Partial<Result>[] = [{ impl: "fused" }, { contextLen: 8 }, { valuesAre: "keys" }];
  const { rows: both, onlyBefore, onlyAfter } = compareReports(
    reportOf(rows),
    reportOf([rows[2], rows[0], { numKvHeads: 1 }]),
  );
  assertEquals(both.map(({ before, after }) => [before.valuesAre, after.valuesAre]), [
    [undefined, undefined],
    ["keys", "keys"],
  ]);
  assertEquals([onlyBefore[0].contextLen, onlyBefore.length], [8, 1]);
  assertEquals([onlyAfter[0].numKvHeads, onlyAfter.length], [1, 1]);
});

Deno.test("compare: the table has a line for each change, and counts the rest", () => {
  const before = { name: "a.json", report: reportOf([BEFORE, { ...BEFORE, contextLen: 8 }]) };
  const slow = { ...BEFORE, minMs: 18, medianMs: 20, p90Ms: 24 };
  const after = { name: "b.json", report: reportOf([slow, { ...BEFORE, contextLen: 8 }]) };
  after.report.adapter = { ...after.report.adapter, description: "Another" };
  const text = formatComparison(before, after, compareReports(before.report, after.report));
  assertStringIncludes(text, "Before   a.json: Test <GPU> & co, copy 20.0 GB/s");
  assertStringIncludes(text, "Note     the adapters differ");
  assertMatch(
    text,
    /\nslower +LLaMA-2-7B decode mha fused f16 context 4096 batch 2 +10.0 +20.0 +2.000 +1.000\n/,
  );
  assertStringIncludes(text, "2 rows in both: 1 slower, 1 same\n");
  assertStringIncludes(text, "median of all times over those before: 1.500");
});

Deno.test("compare: the command reads reports, writes JSON, and its code says whether anything is worse", async () => {
  const text = (rows: Partial<Result>[]) => JSON.stringify(reportOf(rows));
  const files = {
    "a.json": text([BEFORE]),
    "b.json": text([{ ...BEFORE, minMs: 18, medianMs: 20, p90Ms: 24 }]),
    "c.json": text([{ ...BEFORE, p90Ms: 0 }]),
  };
  await inFolder(files, async (folder) => {
    const [a, b, c] = ["a", "b", "c"].map((name) => `${folder}/${name}.json`);
    const slower = await run(runCompare, a, b, "--json", `${folder}/out.json`);
    assertEquals(slower.code, 1);
    const { schema, rows, before } = JSON.parse(await Deno.readTextFile(`${folder}/out.json`));
    assertEquals([schema, rows[0].verdict, rows[0].ratio, before], [1, "slower", 2, a]);
    assertEquals((await run(runCompare, b, a)).code, 0);
    assertEquals((await run(runCompare, a, a)).code, 0);
    assertStringIncludes((await run(runCompare, "--help")).out, "bench compare BEFORE.json");
    const mistakes: [args: string[], says: string][] = [
      [[a], "without two files"],
      [[], "without two files"],
      [[a, b, "--jsn", "x"], "did you mean --json?"],
      [[a, `${folder}/none.json`], "none.json"],
      [[a, c], '"p90Ms" of "results.0" must be above 0'],
    ];
    for (const [args, says] of mistakes) {
      const { code, err } = await run(runCompare, ...args);
      assertEquals(code, 2, err);
      assertStringIncludes(err, says);
    }
  });
});
