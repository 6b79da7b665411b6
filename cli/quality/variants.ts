import type { DecoderSpec } from "../../src/model/spec.ts";
import type { PoolMethod } from "../shared/model_options.ts";
import type { KvDtype } from "../../mod.ts";
import { sentence } from "../../src/base/check.ts";
import { isQuantized } from "../../src/tensor/quantized.ts";
import type { CacheTransform, QualityOptions } from "./options.ts";

/** A change to a model. */
export type Change = "none" | "cache dtype" | "window" | "KV heads";

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

/**
 * The model as it is, with a cache in f32, and then with one change at a time.
 *
 * @param tokens Tokens of the text: windows and sinks that come to no less change nothing and are left out.
 * @throws {RangeError} If KV heads do not divide the model's, or a window that is asked for changes nothing.
 */
export function variantsOf(
  { numKvHeads }: Pick<DecoderSpec, "numKvHeads">,
  tokens: number,
  { kvDtypes, transforms, windows, sinks, kvHeads, pools }: Pick<
    QualityOptions,
    "kvDtypes" | "transforms" | "windows" | "sinks" | "kvHeads" | "pools"
  >,
): Variant[] {
  const asTrained = { kvDtype: "f32" as KvDtype, numKvHeads };
  const divisors = Array.from({ length: numKvHeads }, (_, i) => numKvHeads - i)
    .filter((count) => numKvHeads % count === 0);
  const fewer = (kvHeads ?? divisors).filter((count) => count !== numKvHeads);
  for (const count of fewer) {
    if (divisors.includes(count)) continue;
    throw new RangeError(
      sentence("measure quality", "--kv-heads must divide the model's", {
        ...{ "kv-heads": count, numKvHeads },
      }),
    );
  }
  for (const window of windows ?? []) {
    if (sinks.some((sinks) => window + sinks < tokens)) continue;
    throw new RangeError(
      sentence("measure quality", "--window must be smaller than the text", {
        window,
        sinks,
        tokens,
      }),
    );
  }
  const usual = [2, 4, 8].map((part) => Math.floor(tokens / part)).filter((window) => window > 0);
  return [
    { change: "none", ...asTrained },
    ...kvDtypes.filter((kvDtype) => kvDtype !== "f32").flatMap((kvDtype) => {
      const change: Variant = { ...asTrained, change: "cache dtype", kvDtype };
      if (!isQuantized(kvDtype)) return [change];
      return transforms.map((name) => name === "none" ? change : { ...change, transform: name });
    }),
    ...(windows ?? usual).flatMap((window) =>
      sinks.filter((sinks) => window + sinks < tokens)
        .map((sinks): Variant => ({ ...asTrained, change: "window", window, sinks }))
    ),
    ...fewer.flatMap((numKvHeads) =>
      pools.map((pool): Variant => ({ ...asTrained, change: "KV heads", numKvHeads, pool }))
    ),
  ];
}
