// The page of a bench: its pictures, each with the table of what it shows.
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { formatHtml } from "../../bench/report/html.ts";
import { sectionsOf } from "../../bench/report/sections.ts";
import type { FirstUse, Report } from "../../bench/result.ts";
import { makeReport, makeResult } from "../support/bench_reports.ts";

const FIRST_USE: FirstUse = {
  ...{ kernel: "fused", case: "A", phase: "decode", variant: "mqa", impl: "fused", dtype: "f32" },
  ...{ pipelineMs: 3, firstRunMs: 40 },
};

function reportOf(): Report {
  const rows = [
    makeResult({ variant: "mha", numKvHeads: 8, contextLen: 512, rooflineShare: 0.25 }),
    makeResult({ variant: "mqa", numKvHeads: 1, contextLen: 2048, rooflineShare: 0.5 }),
    makeResult({ failure: "no memory" }),
  ];
  return { ...makeReport(rows), firstUse: [FIRST_USE] };
}

Deno.test("bench page: a picture and a table in every section, rows that failed left out", () => {
  const sections = sectionsOf(reportOf());
  assertEquals(sections.map(({ id }) => id), ["throughput", "roof", "cache", "first-use"]);
  for (const { figure, columns, id } of sections) {
    assertEquals(figure === undefined, false, id);
    assertEquals(columns[0].cells.length, id === "first-use" ? 1 : 2, id);
  }
  const [throughput, roof] = sections;
  assertStringIncludes(throughput.text, "1 of 3 results failed");
  const shares = roof.columns.find(({ heading }) => heading === "% roof");
  assertEquals(shares?.cells, ["25.0", "50.0"]);
});

Deno.test("bench page: it needs nothing beside itself, and no two pictures share names", async () => {
  const page = await formatHtml(reportOf());
  for (const text of ["<!DOCTYPE html>", "Share of the roof", "1. fused, A decode mqa f32"]) {
    assertStringIncludes(page, text);
  }
  assertEquals(page.match(/<(link|script|img)/g), null);
  const ids = Array.from(page.matchAll(/ id="([^"]+)"/g), ([, id]) => id);
  assertEquals(new Set(ids).size, ids.length);
});

Deno.test("bench page: a report without a row that succeeded is refused", () => {
  assertThrows(() => sectionsOf(makeReport([makeResult({ failure: "x" })])), RangeError, "chart");
});
