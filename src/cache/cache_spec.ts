import { checkInteger } from "../base/check.ts";
import type { Dtype } from "../tensor/dtype.ts";
import type { KvShape } from "./kv_shape.ts";
import type { KvTransform } from "./kv_transform.ts";
import type { Layout } from "../tensor/layout.ts";

/** The pages of a pool. */
export interface PageLayout {
  /** Tokens of a page. */
  size: number;
  /** Pages of the pool. */
  count: number;
}

/** Throws unless pages have a size and a number. */
export function checkPages(action: string, pages: PageLayout): void {
  checkInteger(action, "pages.size", pages?.size);
  checkInteger(action, "pages.count", pages?.count);
}

/** The fields of an attention's specification that a cache decides: spread them into `Attention.create`. */
export interface CacheSpec extends KvShape, KvTransform {
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
  /** Pages that keys and values lie in; none where they lie in a ring, or one after the other. */
  pages?: PageLayout;
}
