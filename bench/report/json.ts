import type {
  AdapterInfo,
  DecodeCeiling,
  FirstUse,
  PeerResult,
  Report,
  Result,
  Roofline,
} from "../result.ts";

/** Every key of a report, in the order of writing; a key that is missing here fails to compile. */
const KEYS = {
  schema: true,
  adapter: true,
  description: true,
  features: true,
  isSoftware: true,
  roofline: true,
  copyGBps: true,
  readGBps: true,
  fmaGFlops: true,
  decode: true,
  firstUse: true,
  kernel: true,
  pipelineMs: true,
  firstRunMs: true,
  results: true,
  peers: true,
  case: true,
  phase: true,
  variant: true,
  impl: true,
  dtype: true,
  kvDtype: true,
  batch: true,
  numHeads: true,
  numKvHeads: true,
  headDim: true,
  valueDim: true,
  valuesAre: true,
  seqLen: true,
  contextLen: true,
  medianMs: true,
  minMs: true,
  p90Ms: true,
  samples: true,
  tokensPerSecond: true,
  kvBytes: true,
  gbPerSecond: true,
  gflops: true,
  bandwidthShare: true,
  boundBy: true,
  rooflineShare: true,
  maxAbsError: true,
  speedupOverMha: true,
  timesOurs: true,
  relativeChange: true,
  cosine: true,
  failure: true,
} satisfies Record<
  | keyof Report
  | keyof AdapterInfo
  | keyof Roofline
  | keyof DecodeCeiling
  | keyof FirstUse
  | keyof Result
  | keyof PeerResult,
  true
>;

/**
 * Writes a report as JSON that other programs read and that compares line by line.
 *
 * Keys come in one order, whatever the order in memory. JSON has no NaN and no Infinity: a figure
 * that is not finite, as a failed row may hold, is written as null.
 *
 * @param report What was measured.
 * @returns The report in JSON, indented by two spaces, with a newline at its end.
 */
export function formatJson(report: Report): string {
  return JSON.stringify(report, Object.keys(KEYS), 2) + "\n";
}
