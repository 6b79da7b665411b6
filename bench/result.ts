/** The report of the bench, in the shape that `--json` writes and other programs read. GB are 1e9 bytes. */
import type { CacheVariant } from "../cli/shared/variant.ts";
import type { KvDtype } from "../mod.ts";

export type Phase = "decode" | "prefill";
export type Bound = "bytes" | "operations";

/** The device that everything in a report was measured on. */
export interface AdapterInfo {
  description: string;
  features: string[];
  isSoftware: boolean;
}

/** The rates of the device on plain streams and plain arithmetic: the ceiling of every row. */
export interface Roofline {
  /** Bytes read plus bytes written per second by a large copy kernel. */
  copyGBps: number;
  /** Bytes per second of a read-only reduction. */
  readGBps: number;
  /** f32 multiply-adds per second, counted as two operations each. */
  fmaGFlops: number;
  /** The rates of decoding, for each implementation and element type that was asked for. */
  decode?: DecodeCeiling[];
}

/** The two ends of decoding's own roofline. */
export interface DecodeCeiling extends Pick<Shape, "dtype"> {
  impl: string;
  /** Bytes per second where every query head has K and V of its own. */
  gbPerSecond: number;
  /** Operations per second where all query heads share one head of K and V. */
  gflops: number;
}

/** The sizes of an attention. */
export interface Shape {
  /** Element type of queries and outputs. */
  dtype: "f32" | "f16";
  /** Element type of K and V in storage, where it is another. */
  kvDtype?: KvDtype;
  batch: number;
  numHeads: number;
  numKvHeads: number;
  /** Elements of a query and of a key. */
  headDim: number;
  /** Elements of a value, where they are not as many. */
  valueDim?: number;
  /** Whether values are the first elements of keys. */
  valuesAre?: "keys";
  /** New tokens per sequence. */
  seqLen: number;
  /** Tokens that are attended to, the new ones included. */
  contextLen: number;
}

/** Times per call, in milliseconds. */
export interface Times {
  medianMs: number;
  minMs: number;
  /** The time below which nine tenths of the samples lie. */
  p90Ms: number;
  /** The number of times that the others are figures of. */
  samples: number;
}

/** One measured shape, variant and implementation. */
export interface Result extends Shape, Times {
  /** Name of the model or shape, e.g. "LLaMA-2-7B". */
  case: string;
  phase: Phase;
  variant: CacheVariant;
  /** Implementation, e.g. "staged". */
  impl: string;
  /** New tokens per second over the whole batch. */
  tokensPerSecond: number;
  /** Bytes of K and V that hold `contextLen` tokens of the whole batch. */
  kvBytes: number;
  /** Bytes that must move at least once (q, K, V, o), over the median time. */
  gbPerSecond: number;
  /** Operations of QK^T and AV over visible keys, over the median time. */
  gflops: number;
  /** `gbPerSecond` over the measured `copyGBps`. */
  bandwidthShare: number;
  /** The bound of this row under the roofline: bytes or operations, whichever take the adapter longer. */
  boundBy: Bound;
  /** The time that the adapter needs for `boundBy` alone, over the median time. */
  rooflineShare: number;
  /** Largest difference from the float64 reference; null when it is not a number. */
  maxAbsError: number | null;
  /** Median over interleaved pairs of MHA's time over this row's; null where MHA was not run. */
  speedupOverMha: number | null;
  /** Of a variant that is not the model's own (`--input`): norm of its output's change over the norm of the output. */
  relativeChange?: number;
  /** Of a variant that is not the model's own: cosine between its output and the model's. */
  cosine?: number;
  /** The reason why this row is wrong or was not run; such a row has no trustworthy times. */
  failure?: string;
}

/** One system at one shape, timed by the wall clock in turns with the others (`--peers`). */
export interface PeerResult extends Shape, Times, Pick<Result, "case" | "phase" | "variant"> {
  /** One of our implementations, e.g. "fused", or a peer with its version, e.g. "jax-js 0.1.25". */
  impl: string;
  /** Largest difference from the float64 reference; null when it is not a number, or there is no output. */
  maxAbsError: number | null;
  /** Median over interleaved pairs of this row's time over that of our first implementation; null where either failed. */
  timesOurs: number | null;
  /** The reason why this row was not timed: it is wrong, not supported, refused, or the peer cannot be loaded. */
  failure?: string;
}

/** The first use of a kernel, which costs more than those that follow. Times are in milliseconds. */
export interface FirstUse {
  /** Name of the kernel, e.g. "attend". */
  kernel: string;
  /** The row that used it first. */
  case: string;
  phase: Phase;
  variant: CacheVariant;
  impl: string;
  dtype: Shape["dtype"];
  /** Until the pipeline was created. */
  pipelineMs: number;
  /** The time of the first dispatch beyond that of the second: some drivers put off compiling until then. */
  firstRunMs: number;
}

export interface Report {
  schema: 1;
  adapter: AdapterInfo;
  roofline: Roofline;
  firstUse: FirstUse[];
  results: Result[];
  /** Ours beside other systems, where that was asked for. */
  peers?: PeerResult[];
}
