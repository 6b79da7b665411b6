import type { Dtype } from "../tensor/dtype.ts";
import type { KvShape } from "./kv_shape.ts";
import type { Layout } from "../tensor/layout.ts";

/** The part of an attention's specification that a cache decides: spread it into `Attention.create`. */
export interface CacheSpec extends KvShape {
  /** First tokens of a sequence that are never overwritten. */
  sinks: number;
  /** Tokens besides the sinks that a query sees; all of them where there is none. */
  window?: number;
  /** Element type of the tensors that are appended, and of queries. */
  dtype: Dtype;
  /** Axes of the tensors that are appended. */
  layout: Layout;
  /** Axes of keys and values. */
  kvLayout: Layout;
}
