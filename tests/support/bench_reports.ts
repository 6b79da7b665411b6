/** Reports of the bench, made by hand. */
import type { Report, Result } from "../../bench/result.ts";

/** A row that was measured. */
export function makeResult(changes: Partial<Result> = {}): Result {
  return {
    case: "LLaMA-2-7B",
    phase: "decode",
    variant: "mha",
    impl: "fused",
    dtype: "f16",
    batch: 2,
    numHeads: 32,
    numKvHeads: 32,
    headDim: 128,
    seqLen: 1,
    contextLen: 4096,
    medianMs: 12.345,
    minMs: 11.5,
    p90Ms: 15,
    samples: 50,
    tokensPerSecond: 162.01,
    kvBytes: 2 * 2 * 4096 * 32 * 128 * 2,
    gbPerSecond: 10.87,
    gflops: 10.88,
    bandwidthShare: 0.5435,
    boundBy: "bytes",
    rooflineShare: 0.4426,
    maxAbsError: 1.25e-4,
    speedupOverMha: 1,
    ...changes,
  };
}

/** A report of such rows. */
export function makeReport(results: Result[], isSoftware = false): Report {
  return {
    schema: 1,
    adapter: { description: "Test <GPU> & co", features: ["shader-f16", "subgroups"], isSoftware },
    roofline: { copyGBps: 20, readGBps: 24.56, fmaGFlops: 1234.5 },
    firstUse: [],
    results,
  };
}
