/** A model with one change, whose cost is measured. */
import type { KvDtype } from "../../../mod.ts";
import type { PoolMethod } from "../model_options.ts";

/** What integers are made of: keys and values as they are, rotated, or with channels that are calibrated. */
export const CACHE_TRANSFORMS = ["none", "rotated", "calibrated"] as const;
/** Changes to a model. */
export const CHANGES = ["none", "cache dtype", "window", "KV heads"] as const;

/** Features that some adapters have, and that some variants need. */
export const ADAPTER_FEATURES = ["f16"] as const;

/** What integers are made of. */
export type CacheTransform = typeof CACHE_TRANSFORMS[number];
/** A change to a model. */
export type Change = typeof CHANGES[number];
/** A feature of an adapter. */
export type AdapterFeature = typeof ADAPTER_FEATURES[number];

/** A model with one change. */
export interface Variant {
  change: Change;
  kvDtype: KvDtype;
  /** The transform of keys and values before they become integers; none where they are taken as they are. */
  transform?: Exclude<CacheTransform, "none">;
  /** Tokens that a query sees; none where that is as trained. */
  window?: number;
  /** First tokens that stay visible past the window. */
  sinks?: number;
  numKvHeads: number;
  /** The way to fewer KV heads; none where they are as trained. */
  pool?: PoolMethod;
}

/** The feature that an adapter must have to measure a variant; undefined where every adapter can. */
export function needOf({ kvDtype }: Pick<Variant, "kvDtype">): AdapterFeature | undefined {
  return ADAPTER_FEATURES.find((feature) => feature === kvDtype);
}
