import type { DecoderSpec } from "../../src/model/spec.ts";
import type { KvDtype } from "../../mod.ts";
import { sentence } from "../../src/base/check.ts";
import { isQuantized } from "../../src/tensor/quantized.ts";
import type { Variant } from "../shared/quality/variant.ts";
import type { QualityOptions } from "./options.ts";

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
