import type { QkvOptions } from "./qkv_weights.ts";
import type { HostTensor } from "../tensor/tensor.ts";

/** A projection: a matrix, and what is added to its outputs. */
export interface Projection {
  /** [out, in] */
  weight: HostTensor;
  /** [out]. The default is none. */
  bias?: HostTensor;
}

/** Weights of an attention layer: the projections of queries, keys and values apart, or in one matrix. */
export type AttentionWeights =
  & (
    | {
      /** Queries: weight [numHeads headDim, dim]. */
      q: Projection;
      /** Keys: weight [numKvHeads headDim, dim]. */
      k: Projection;
      /** Values: weight [numKvHeads headDim, dim]. */
      v: Projection;
    }
    | {
      /** Queries, keys and values: weight [(numHeads + 2 numKvHeads) headDim, dim]. */
      qkv: Projection;
      /** In which order its rows are: as of {@linkcode QkvOptions}. */
      arrangement: QkvOptions["arrangement"];
    }
  )
  & {
    /** Output: weight [dim, numHeads headDim]. */
    o: Projection;
    /** Gain of an RMSNorm over each query, before its rotation [headDim]. The default is none. */
    qNorm?: HostTensor;
    /** Gain of an RMSNorm over each key, before its rotation [headDim]. The default is none. */
    kNorm?: HostTensor;
  };
