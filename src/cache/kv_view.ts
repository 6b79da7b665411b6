/** Keys and values as attention reads them, whichever way they are kept. */
import { checkInteger, checkObject } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { CacheSpec } from "./cache_spec.ts";

/** The queries of an attention, as far as they decide which tokens it reads. */
export interface ViewingQueries {
  /** New tokens per sequence. */
  seqLen: number;
  /**
   * Rows of new tokens where those of all sequences lie end to end, each with a query of its own; `seqLen` is the most of a
   * sequence then. Absent where every sequence has as many queries.
   */
  tokens?: number;
  /** First tokens of a sequence that every query sees. */
  sinks: number;
  /** Tokens besides the sinks that a query sees; all of them where there is none. */
  window?: number;
  /** Where the queries lie in the context. The default is `"bottom-right"`: they are its last tokens. */
  alignment?: "bottom-right" | "top-left" | number;
}

/**
 * A view of keys and values: the shapes, buffers and lengths that attention asks for, and whether queries still see all that
 * they should. A ring is one, and so are keys and values that lie one after the other.
 */
export interface KvView {
  /** Where keys and values live. */
  readonly gpu: Gpu;
  /** Shapes and element types, which an attention over the view is planned for. */
  readonly spec: Pick<
    CacheSpec,
    | "batch"
    | "numKvHeads"
    | "capacity"
    | "headDim"
    | "valueDim"
    | "valuesAre"
    | "dtype"
    | "kvDtype"
    | "kvCalibrated"
    | "kvRotation"
    | "sinks"
    | "kvLayout"
    | "pages"
  >;
  /**
   * Keys and values [B, numKvHeads, capacity, ...] in `kvLayout`, cut between heads as `headParts` cuts them; no `v` where
   * values are keys.
   */
  readonly parts: readonly { k: Tensor; v?: Tensor }[];
  /** Tokens of each sequence [B], u32, as of the work that the GPU has done. */
  readonly lengthsBuffer: GPUBuffer;
  /** Buffers that finding a row and its transform take besides, by the names of the kernels' variables. */
  readonly buffers?: Readonly<Record<string, GPUBuffer>>;
  /**
   * Throws unless the view holds every token that the queries see, as of what has been encoded.
   *
   * @param queries Which tokens are looked at.
   * @throws {TypeError} If `queries` is no object, or one of its sizes no number.
   * @throws {RangeError} If a size is out of range, there is no token, or some that a query would see are gone.
   */
  checkVisible(queries: ViewingQueries): void;
}

/** Throws unless queries say how many they are, and what they see. */
export function checkQueries(action: string, queries: ViewingQueries): void {
  checkObject(action, "queries", queries);
  const { seqLen, tokens, sinks, window } = queries;
  checkInteger(action, "seqLen", seqLen);
  checkInteger(action, "sinks", sinks, 0);
  if (tokens !== undefined) checkInteger(action, "tokens", tokens);
  if (window !== undefined) checkInteger(action, "window", window);
}
