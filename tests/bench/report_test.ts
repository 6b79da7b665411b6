import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { PeerResult, Result } from "../../bench/result.ts";
import { makeReport, makeResult } from "../support/bench_reports.ts";
import { renderChart } from "../../bench/report/chart.ts";
import { formatJson } from "../../bench/report/json.ts";
import { formatTable } from "../../bench/report/table.ts";
import { logTicks } from "../../cli/shared/report/log_ticks.ts";
import { alignDecimals, formatBytes, latencyUnit } from "../../cli/shared/report/units.ts";

/** The groups of a table, with cells by heading; a failure is under the first figure's. */
function parseGroups(table: string): { shape: string; rows: Record<string, string>[] }[] {
  return table.trimEnd().split("\n\n").slice(1).map((block) => {
    const [shape, headings, ...lines] = block.split("\n");
    const names = headings.split(/ {2,}/);
    const rows = lines.map((line) => {
      const cells = line.split(/ {2,}/);
      return Object.fromEntries(cells.map((cell, i) => [names[i], cell]));
    });
    return { shape, rows };
  });
}

Deno.test("formatTable() puts each figure under its heading", () => {
  const mha = makeResult();
  const mqa = makeResult({
    variant: "mqa",
    numKvHeads: 1,
    medianMs: 3.5,
    minMs: 3.25,
    p90Ms: 4,
    tokensPerSecond: 5714.2857,
    kvBytes: mha.kvBytes / 32,
    gbPerSecond: 1.2,
    bandwidthShare: 0.06,
    boundBy: "operations",
    rooflineShare: 0.85,
    maxAbsError: 0,
    speedupOverMha: 3.5271,
  });
  const [{ shape, rows }] = parseGroups(formatTable(makeReport([mha, mqa])));
  assertEquals(shape, "LLaMA-2-7B, decode: 32 heads x 128, batch 2, seqLen 1, context 4096");
  assertEquals(rows, [{
    "variant": "mha",
    "KV heads": "32",
    "impl": "fused",
    "dtype": "f16",
    "median ms": "12.35",
    "min ms": "11.50",
    "p90 ms": "15.00",
    "tokens/s": "162",
    "KV/token": "16 KiB",
    "KV cache": "128 MiB",
    "GB/s": "10.87",
    "% copy": "54.35",
    "% roof": "44.3",
    "bound by": "bytes",
    "x MHA": "1.00",
    "max error": "1.3e-4",
  }, {
    "variant": "mqa",
    "KV heads": "1",
    "impl": "fused",
    "dtype": "f16",
    "median ms": "3.50",
    "min ms": "3.25",
    "p90 ms": "4.00",
    "tokens/s": "5,714",
    "KV/token": "512 B",
    "KV cache": "4 MiB",
    "GB/s": "1.20",
    "% copy": "6.00",
    "% roof": "85.0",
    "bound by": "operations",
    "x MHA": "3.53",
    "max error": "0.0e+0",
  }]);
});

Deno.test("formatTable() closes with other systems, their times over ours, and why there are none", () => {
  const { case: name, phase, variant, dtype, batch, numHeads, numKvHeads, ...rest } = makeResult();
  const { headDim, seqLen, contextLen, medianMs, minMs, p90Ms, samples } = rest;
  const row = (impl: string, changes: Partial<PeerResult>): PeerResult => ({
    ...{ case: name, phase, variant, impl, dtype, batch, numHeads, numKvHeads, headDim, seqLen },
    ...{ contextLen, medianMs, minMs, p90Ms, samples, maxAbsError: 1e-8, timesOurs: null },
    ...changes,
  });
  const peers = [
    row("fused", { timesOurs: 1 }),
    row("jax-js 0.1.25", { medianMs: 24.7, timesOurs: 2 }),
    row("tfjs 4.22.0", { failure: "wrong: error 3.5e-2" }),
  ];
  const report = { ...makeReport([]), peers };
  const [, title, table] = formatTable(report).split("\n\n");
  assertStringIncludes(title, "other systems");
  const [group] = parseGroups(`\n\n${table}`);
  assertEquals(group.rows.map((row) => [row["impl"], row["median ms"], row["x ours"]]), [
    ["fused", "12.3", "1.00"],
    ["jax-js 0.1.25", "24.7", "2.00"],
    ["tfjs 4.22.0", "FAILED: wrong: error 3.5e-2", undefined],
  ]);
  const parsed = JSON.parse(formatJson(report));
  assertEquals(parsed.peers[1].impl, "jax-js 0.1.25");
  assertEquals(parsed.peers[2].timesOurs, null);
});

Deno.test("formatTable() ends with what kernels cost once, the slowest of them", () => {
  const { case: name, phase, variant, impl, dtype } = makeResult();
  const firstUse = Array.from({ length: 8 }, (_, i) => ({
    kernel: `kernel ${i}`,
    ...{ case: name, phase, variant, impl, dtype },
    pipelineMs: i,
    firstRunMs: 100 * i,
  }));
  const table = formatTable({ ...makeReport([makeResult()]), firstUse });
  const [, { shape, rows }] = parseGroups(table);
  assertMatch(shape, /^First use of 8 kernels, the 6 slowest/);
  assertEquals(rows.map(({ kernel }) => kernel), [7, 6, 5, 4, 3, 2].map((i) => `kernel ${i}`));
  const { "pipeline ms": pipeline, "first run ms": run, "total ms": total } = rows[0];
  assertEquals([pipeline, run, total], ["7", "700", "707"]);
  assertMatch(
    formatTable({ ...makeReport([]), firstUse: firstUse.slice(6) }),
    /use of 2 kernels \(/,
  );
});

Deno.test("formatTable() aligns every row with its headings", () => {
  const results = [
    makeResult({ impl: "staged_and_long", tokensPerSecond: 1e6 }),
    makeResult({ speedupOverMha: null, maxAbsError: null, kvBytes: 100 }),
  ];
  const [headings, ...rows] = formatTable(makeReport(results)).trimEnd().split("\n").slice(-3);
  assertEquals(rows.map((row) => row.length), [headings.length, headings.length]);
  for (const heading of ["KV heads", "median ms", "tokens/s", "GB/s", "x MHA"]) {
    const end = headings.indexOf(heading) + heading.length;
    for (const row of rows) assertMatch(row.slice(end - 1, end + 2), /^\S {2}$/);
  }
  for (const heading of ["variant", "impl", "dtype"]) {
    const start = headings.indexOf(heading);
    for (const row of rows) assertMatch(row.slice(start, start + 1), /^\S$/);
  }
});

Deno.test("formatTable() shows what was not measured", () => {
  const result = makeResult({ speedupOverMha: null, maxAbsError: null });
  const [{ rows }] = parseGroups(formatTable(makeReport([result])));
  assertEquals(rows[0]["x MHA"], "-");
  assertEquals(rows[0]["max error"], "NaN");
});

Deno.test("formatTable() shows no figures of a failed row, but why it failed", () => {
  const failed = makeResult({ medianMs: NaN, minMs: 0, failure: "no\n  memory", variant: "gqa" });
  const [{ rows }] = parseGroups(formatTable(makeReport([failed, makeResult()])));
  assertEquals(Object.values(rows[0]), ["gqa", "32", "fused", "f16", "FAILED: no memory"]);
  assertEquals(rows[1]["median ms"], "12.3");

  const [onlyFailed] = parseGroups(formatTable(makeReport([failed])));
  assertEquals(Object.values(onlyFailed.rows[0]).at(-1), "FAILED: no memory");
});

Deno.test("formatTable() chooses a unit of time for each group", () => {
  const table = formatTable(makeReport([
    makeResult({ medianMs: 0.05, minMs: 0.0456, p90Ms: 1.5 }),
    makeResult({ contextLen: 8192, medianMs: 2500, minMs: 2000, p90Ms: 3000 }),
  ]));
  const [short, long] = parseGroups(table).map(({ rows }) => rows[0]);
  assertEquals([short["median us"], short["min us"], short["p90 us"]], ["50.0", "45.6", "1,500"]);
  assertEquals([long["median s"], long["min s"], long["p90 s"]], ["2.50", "2.00", "3.00"]);
});

Deno.test("formatTable() groups rows of one shape, in the order of their first rows", () => {
  const groups = parseGroups(formatTable(makeReport([
    makeResult({ contextLen: 8192 }),
    makeResult(),
    makeResult({ contextLen: 8192, variant: "gqa", numKvHeads: 8 }),
    makeResult({ phase: "prefill", seqLen: 4096 }),
    makeResult({ case: "Falcon-7B" }),
    makeResult({ batch: 1 }),
  ])));
  assertEquals(groups.map(({ shape, rows }) => [shape, rows.length]), [
    ["LLaMA-2-7B, decode: 32 heads x 128, batch 2, seqLen 1, context 8192", 2],
    ["LLaMA-2-7B, decode: 32 heads x 128, batch 2, seqLen 1, context 4096", 1],
    ["LLaMA-2-7B, prefill: 32 heads x 128, batch 2, seqLen 4096, context 4096", 1],
    ["Falcon-7B, decode: 32 heads x 128, batch 2, seqLen 1, context 4096", 1],
    ["LLaMA-2-7B, decode: 32 heads x 128, batch 1, seqLen 1, context 4096", 1],
  ]);
});

Deno.test("formatTable() names the storage of keys and values where it is another than that of queries", () => {
  const rows = [makeResult(), makeResult({ kvDtype: "int4" })];
  const columnOf = (text: string) => text.match(/K and V/g)?.length ?? 0;
  assertEquals(columnOf(formatTable(makeReport(rows.slice(0, 1)))), 0);
  const text = formatTable(makeReport(rows));
  assertEquals(columnOf(text), 1);
  const [first, second] = text.split("\n").filter((line) => line.startsWith("mha"));
  assert(/f16 +f16 /.test(first) && /f16 +int4 /.test(second), text);
  assertEquals(JSON.parse(formatJson(makeReport(rows))).results[1].kvDtype, "int4");
});

Deno.test("formatTable() describes the adapter, its roofline, and whether it is software", () => {
  const head = (isSoftware: boolean) => formatTable(makeReport([], isSoftware)).split("\n");
  assertEquals(head(false), [
    "Adapter   Test <GPU> & co",
    "Features  shader-f16, subgroups",
    "Roofline  copy 20.0 GB/s, read 24.6 GB/s, f32 multiply-add 1,235 GFLOP/s",
    "",
  ]);
  assertMatch(head(true)[3], /^Note +This adapter is software/);
});

Deno.test("alignDecimals() gives the smallest figure three digits, and all its decimals", () => {
  assertEquals(alignDecimals([1234.5678, 0.5]), ["1,234.568", "0.500"]);
  assertEquals(alignDecimals([12.345, 100]), ["12.3", "100.0"]);
  assertEquals(alignDecimals([123.45, 0]), ["123", "0"]);
  assertEquals(alignDecimals([0.00012, -4]), ["0.000", "-4.000"]);
  assertEquals(alignDecimals([null, NaN, Infinity, 2]), ["-", "NaN", "Infinity", "2.00"]);
  assertEquals(alignDecimals([]), []);
});

Deno.test("latencyUnit() needs no leading zeros", () => {
  assertEquals([0.001, 0.999, 1, 999, 1000].map((ms) => latencyUnit(ms).name), [
    "us",
    "us",
    "ms",
    "ms",
    "s",
  ]);
});

Deno.test("formatBytes() uses binary units", () => {
  assertEquals([0, 512, 1023, 1024, 1536, 18176].map(formatBytes), [
    "0 B  ",
    "512 B  ",
    "1023 B  ",
    "1 KiB",
    "1.5 KiB",
    "17.8 KiB",
  ]);
  assertEquals([2 ** 27, 3 * 2 ** 30, 2 ** 40, 2 ** 51].map(formatBytes), [
    "128 MiB",
    "3 GiB",
    "1 TiB",
    "2048 TiB",
  ]);
});

Deno.test("formatJson() survives a round trip, every key included", () => {
  const report = makeReport([makeResult({ failure: "wrong" }), makeResult({ maxAbsError: null })]);
  const { case: name, phase, variant, impl, dtype } = makeResult();
  report.firstUse.push({
    kernel: "attend",
    ...{ case: name, phase, variant, impl, dtype },
    pipelineMs: 1,
    firstRunMs: 2,
  });
  assertEquals(JSON.parse(formatJson(report)), report);
});

Deno.test("formatJson() orders the keys, whatever their order in memory", () => {
  const report = makeReport([makeResult({ failure: "wrong" })]);
  const reverse = <T extends object>(object: T) =>
    Object.fromEntries(Object.entries(object).reverse()) as T;
  const reversed = reverse({ ...report, results: report.results.map(reverse) });
  assertEquals(formatJson(reversed), formatJson(report));
  assertEquals(formatJson(report).split("\n").slice(0, 9), [
    "{",
    '  "schema": 1,',
    '  "adapter": {',
    '    "description": "Test <GPU> & co",',
    '    "features": [',
    '      "shader-f16",',
    '      "subgroups"',
    "    ],",
    '    "isSoftware": false',
  ]);
  assertMatch(formatJson(report), /\n}\n$/);
});

Deno.test("formatJson() writes null for what is not finite", () => {
  const results = [makeResult({ medianMs: NaN, gbPerSecond: Infinity, gflops: -Infinity })];
  const [{ medianMs, gbPerSecond, gflops }] = JSON.parse(formatJson(makeReport(results))).results;
  assertEquals([medianMs, gbPerSecond, gflops], [null, null, null]);
});

Deno.test("logTicks() encloses the values in round steps", () => {
  assertEquals(logTicks([30, 700]), [20, 50, 100, 200, 500, 1000]);
  assertEquals(logTicks([20, 200]), [20, 50, 100, 200]);
  assertEquals(logTicks([30, 7000]), [10, 100, 1000, 10000]);
  assertEquals(logTicks([0.3, 0.04]), [0.02, 0.05, 0.1, 0.2, 0.5]);
  for (const value of [1, 2, 50, 999.9999999999999, 1000]) {
    const ticks = logTicks([value]);
    assertEquals(ticks.length, 2, `${value}`);
    assert(ticks[0] <= value && value <= ticks[1], `${value}`);
  }
});

const contexts = [512, 1024, 2048];
const series = (changes: Partial<Result>) =>
  contexts.map((contextLen) =>
    makeResult({ contextLen, tokensPerSecond: 1e6 / contextLen, ...changes })
  );
const allVariants = (changes: Partial<Result>) => [
  ...series({ ...changes, variant: "mha", numKvHeads: 32 }),
  ...series({ ...changes, variant: "gqa", numKvHeads: 8 }),
  ...series({ ...changes, variant: "mqa", numKvHeads: 1 }),
];

/** Fails unless every element is closed in order and the text has no stray markup. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  const rest = svg.replaceAll(
    /<(\/?)([a-z][\w:-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/gi,
    (_, closing, name, _attributes, empty) => {
      if (closing) assertEquals(open.pop(), name);
      else if (!empty) open.push(name);
      return "";
    },
  );
  assertEquals(open, []);
  assertEquals(rest.match(/[<>]|&(?!(amp|lt|gt|quot|apos|#\d+);)/g), null);
}

const texts = (svg: string) =>
  Array.from(svg.matchAll(/<(?:text|tspan)[^>]*>([^<]+)</g), ([, text]) => text);
const count = (items: string[], item: string) => items.filter((other) => other === item).length;

/** The marks that stand for one measurement each, as they say of themselves and as they look. */
const points = (svg: string) =>
  Array.from(
    svg.matchAll(/aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="point"[^>]*>/g),
    ([element, label]) => ({
      label,
      color: element.match(/fill="([^"]*)"/)?.[1],
      position: element.match(/translate\(([^)]*)\)/)![1].split(",").map(Number),
    }),
  );
/** The dash pattern of each line. */
const dashes = (svg: string) =>
  Array.from(
    svg.matchAll(/aria-roledescription="line mark"[^>]*stroke-dasharray="([^"]*)"/g),
    ([, dash]) => dash,
  );

Deno.test("renderChart() draws a panel a case, and points in their variants' colours", async () => {
  const results = [...allVariants({}), ...allVariants({ case: "Falcon-7B" })];
  const svg = await renderChart(makeReport(results));
  assertWellFormed(svg);
  assertAlmostEquals(Number(svg.match(/^<svg [^>]*width="(\d+)"/)?.[1]), 900, 20);
  assertEquals(count(texts(svg), "context (tokens)"), 2);
  assertEquals(count(texts(svg), "LLaMA-2-7B, batch 2"), 1);
  assertEquals(count(texts(svg), "Falcon-7B, batch 2"), 1);
  assertEquals(count(texts(svg), "32 x 128, KV heads 32 / 8 / 1"), 2);
  assertEquals(count(texts(svg), "Attention throughput on Test &lt;GPU&gt; &amp; co"), 1);
  assertEquals(count(texts(svg), "Decode"), 1);
  assertEquals(count(texts(svg), "Prefill"), 0);
  assertEquals(["MHA", "GQA", "MQA"].map((label) => count(texts(svg), label)), [1, 1, 1]);

  assertEquals(points(svg).length, 18);
  const colors = new Map([["MHA", "#d55e00"], ["GQA", "#009e73"], ["MQA", "#2e86d1"]]);
  for (const [variant, color] of colors) {
    const own = points(svg).filter(({ label }) => label.endsWith(`variant: ${variant}`));
    assertEquals(own.map((point) => point.color), Array(6).fill(color));
  }
});

Deno.test("renderChart() makes equal ratios equal distances on both axes", async () => {
  const [a, b, c] = points(await renderChart(makeReport(series({})))).map((point) =>
    point.position
  );
  const [xStep, yStep] = [b[0] - a[0], b[1] - a[1]];
  assert(xStep > 0 && yStep > 0, "Longer contexts are further right, and slower ones further down");
  assertAlmostEquals(c[0] - b[0], xStep, 0.5);
  assertAlmostEquals(c[1] - b[1], yStep, 0.5);
});

Deno.test("renderChart() puts prefill in panels of its own", async () => {
  const prefill = allVariants({ phase: "prefill" })
    .map((row) => ({ ...row, seqLen: row.contextLen }));
  const svg = await renderChart(makeReport([...prefill, ...allVariants({})]));
  const labels = texts(svg);
  assertEquals(count(labels, "context (tokens)"), 2);
  assertEquals(count(labels, "LLaMA-2-7B, batch 2"), 2);
  assert(labels.includes("Decode"));
  assert(labels.indexOf("Decode") < labels.indexOf("Prefill"));
});

Deno.test("renderChart() keeps batches and lengths of input apart", async () => {
  const svg = await renderChart(makeReport([
    ...series({}),
    ...series({ batch: 1 }),
    ...series({ seqLen: 16 }),
    ...series({ phase: "prefill", seqLen: 16 }),
  ]));
  assertEquals(count(texts(svg), "LLaMA-2-7B, batch 2"), 1);
  assertEquals(count(texts(svg), "LLaMA-2-7B, batch 1"), 1);
  assertEquals(count(texts(svg), "LLaMA-2-7B, batch 2, 16 new tokens"), 2);
});

Deno.test("renderChart() tells implementations apart by dashes, and names them", async () => {
  const one = await renderChart(makeReport(series({})));
  assertEquals(dashes(one).length, 1);
  assert(texts(one).some((text) => text.endsWith("(fused, f16)")));
  assertEquals(count(texts(one), "fused, f16"), 0);

  const three = await renderChart(
    makeReport([
      ...[...series({}), ...series({ impl: "staged" }), ...series({ dtype: "f32" })],
      ...series({ kvDtype: "int4" }),
    ]),
  );
  assertEquals(new Set(dashes(three)).size, 4);
  const legend = ["fused, f16", "staged, f16", "fused, f32", "fused, f16/int4"].map((name) =>
    count(texts(three), name)
  );
  assertEquals(legend, [1, 1, 1, 1]);
});

Deno.test("renderChart() draws a line for each number of KV heads of a variant", async () => {
  const gqa = [8, 4].flatMap((numKvHeads) => series({ variant: "gqa", numKvHeads }));
  assertEquals(dashes(await renderChart(makeReport(gqa))).length, 2);
});

Deno.test("renderChart() labels each panel's axes for its own values", async () => {
  const labels = texts(
    await renderChart(makeReport([
      makeResult({ contextLen: 1000, tokensPerSecond: 30_000 }),
      makeResult({ contextLen: 512, tokensPerSecond: 12_000 }),
      makeResult({ case: "slow", contextLen: 2048, tokensPerSecond: 0.3 }),
    ])),
  );
  const axes = ["512", "1000", "2K", "10k", "20k", "50k", "0.2", "0.5"];
  assertEquals(axes.map((label) => count(labels, label)), axes.map(() => 1));
  assertEquals(count(labels, "1k") + count(labels, "1"), 0);
});

Deno.test("renderChart() stacks no more than three panels a row, in even rows", async () => {
  const heightOf = async (cases: number) => {
    const results = Array.from({ length: cases }, (_, i) => makeResult({ case: `case ${i}` }));
    const svg = await renderChart(makeReport(results));
    return Number(svg.match(/^<svg [^>]*height="(\d+)"/)?.[1]);
  };
  const [one, three, four, six] = await Promise.all([1, 3, 4, 6].map(heightOf));
  assertEquals(three, one);
  assertEquals(six, four);
  assert(four > three);
});

Deno.test("renderChart() says what failed and whether the adapter is software", async () => {
  const [first, ...others] = series({});
  const report = makeReport([{ ...first, failure: "wrong" }, ...others], true);
  const svg = await renderChart(report);
  assertEquals(points(svg).length, 2);
  assert(texts(svg).includes("1 of 3 results failed and are left out"));
  assert(texts(svg).some((text) => text.startsWith("This adapter is software")));

  const plain = texts(await renderChart(makeReport(others)));
  assertEquals(plain.filter((text) => /failed|software/.test(text)), []);
});

Deno.test("renderChart() refuses a report without a row that succeeded", async () => {
  await assertRejects(
    () => renderChart(makeReport([makeResult({ failure: "wrong" })])),
    RangeError,
    "current values results=1, succeeded=0",
  );
});
