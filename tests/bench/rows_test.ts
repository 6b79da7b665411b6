// The figures of a report's rows, by times made by hand.
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Case } from "../../bench/cases.ts";
import { ceilingOf } from "../../bench/decode_ceilings.ts";
import { fillInPeers } from "../../bench/peers/compare.ts";
import type { PeerResult, Result, Roofline } from "../../bench/result.ts";
import { emptyResult, fillInAll, floorOf, judge } from "../../bench/rows.ts";

// In f32: q and o are 2 x 3 x 2 x 4 x 8 numbers, keys and values 2 x 3 x 2 x 16 x 8, so 1536 + 6144 bytes. The two queries of a
// head see 15 and 16 of the 16 tokens: 3 x 4 x 31 pairs with 2 x (8 + 8) operations each.
const CASE: Case = {
  ...{ name: "small", phase: "prefill", variant: "mha", impl: "fused", dtype: "f32" },
  ...{ batch: 3, numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 2, contextLen: 16 },
};
const [BYTES, FLOPS] = [1536 + 6144, 3 * 4 * 31 * 32];
const ROOFLINE: Roofline = { copyGBps: 0.004, readGBps: 0.008, fmaGFlops: 0.024 };

function filled(
  cases: readonly Partial<Case>[],
  times: readonly (readonly number[])[],
  roofline = ROOFLINE,
): Result[] {
  const results = cases.map((changes) => emptyResult({ ...CASE, ...changes }));
  fillInAll(results, times, roofline);
  return results;
}

Deno.test("rows: times, and rates of the whole batch", () => {
  const [row] = filled([{}], [[11, 3, 100, 2, 9, 7, 1, 4, 8, 5, 6]]);
  assertEquals([row.medianMs, row.minMs, row.p90Ms, row.samples], [6, 1, 11, 11]);
  // 3 sequences of 2 tokens in 6 ms.
  assertAlmostEquals(row.tokensPerSecond, 1000);
  assertAlmostEquals(row.gbPerSecond, BYTES / 6e-3 / 1e9, 1e-15);
  assertAlmostEquals(row.gflops, FLOPS / 6e-3 / 1e9, 1e-15);
  assertEquals(row.kvBytes, 6144);
  assertAlmostEquals(row.bandwidthShare, BYTES / 6e-3 / 4e6, 1e-12);
});

Deno.test("rows: the floor is the longer of bytes at the faster stream, and operations", () => {
  // 7680 bytes take 0.96 ms at 8 MB/s, 11904 operations 0.496 ms at 24 Mflop/s.
  const reads = floorOf(CASE, ROOFLINE);
  assertEquals(reads.boundBy, "bytes");
  assertAlmostEquals(reads.ms, 0.96, 1e-12);
  const copies = floorOf(CASE, { ...ROOFLINE, copyGBps: 0.016 });
  assertEquals(copies.boundBy, "operations");
  assertAlmostEquals(copies.ms, 0.496, 1e-12);
  assertAlmostEquals(floorOf(CASE, { ...ROOFLINE, copyGBps: 0.01 }).ms, 0.768, 1e-12);
  const [row] = filled([{}], [[4, 2, 3]]);
  assertEquals(row.boundBy, "bytes");
  assertAlmostEquals(row.rooflineShare, 0.96 / 3, 1e-12);
});

Deno.test("rows: each is held against MHA of its implementation, in the same rounds", () => {
  const cases = [
    { variant: "gqa", impl: "staged" },
    { variant: "mha", impl: "fused" },
    { variant: "mqa", impl: "fused" },
    { variant: "mha", impl: "staged" },
    { variant: "mqa", impl: "auto" },
    { variant: "mha", impl: "fused", kvDtype: "int4" },
    { variant: "mqa", impl: "fused", kvDtype: "int4" },
  ] as const;
  const times = [[5, 50, 1], [4, 40, 2], [1, 8, 1], [10, 100, 3], [1, 1, 1], [9, 9, 9], [3, 3, 3]];
  const speedups = filled(cases, times).map(({ speedupOverMha }) => speedupOverMha);
  assertEquals(speedups, [2, 1, 4, 1, null, 1, 3]);
});

Deno.test("rows: an error that is too large or no number is a failure", () => {
  for (
    const [error, maxAbsError, isRight] of [[1e-6, 1e-6, true], [1e-4, 1e-4, false], [
      NaN,
      null,
      false,
    ]]
  ) {
    const row = emptyResult(CASE);
    assertEquals(judge(row, error as number, 1e-5), isRight);
    assertEquals(row.maxAbsError, maxAbsError);
    assertEquals(row.failure === undefined, isRight);
  }
});

Deno.test("ceilings of decoding: bytes of MHA, operations of MQA, none where one failed", () => {
  const [mha, mqa] = filled([{}, { variant: "mqa", numKvHeads: 1 }], [[2], [1]]);
  const ceiling = { impl: "fused", dtype: "f32", gbPerSecond: mha.gbPerSecond, gflops: mqa.gflops };
  assert(mha.gflops !== mqa.gflops && mha.gbPerSecond !== mqa.gbPerSecond);
  for (const rows of [[mha, mqa], [mqa, mha]]) {
    assertEquals(ceilingOf(rows), { ...ceiling } as never);
  }
  assertEquals(ceilingOf([mha, { ...mqa, failure: "wrong" }]), undefined);
});

Deno.test("rows of peers: times that they take as long as ours in the same variant", () => {
  const { name, impl: _, ...shape } = CASE;
  const row = (impl: string, variant: "mha" | "mqa", failure?: string): PeerResult => ({
    ...{ ...shape, case: name, impl, variant, maxAbsError: 0, timesOurs: null },
    ...{ medianMs: 0, minMs: 0, p90Ms: 0, samples: 0 },
    ...(failure && { failure }),
  });
  const rows = [
    row("fused", "mha"),
    row("staged", "mha"),
    row("peer", "mha"),
    row("fused", "mqa", "wrong"),
    row("peer", "mqa"),
    row("peer", "mha", "failed while it was timed"),
  ];
  const times = [[1, 10, 2], [2, 20, 1], [4, 40, 9], [1, 1, 1], [7, 8, 9], [1, 1, 1]];
  fillInPeers(rows, times, "fused");
  assertEquals(rows.map(({ timesOurs }) => timesOurs), [1, 2, 4, null, null, null]);
  assertEquals(rows.map(({ medianMs }) => medianMs), [2, 2, 9, 0, 8, 0]);
  assertEquals(rows.map(({ samples }) => samples), [3, 3, 3, 0, 3, 0]);
});
