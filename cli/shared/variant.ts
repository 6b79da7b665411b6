/** The names of attention by its number of KV heads. */
export type Variant = "mha" | "gqa" | "mqa";

/** The same, and attention whose keys and values are compressed to a row that all heads share. */
export type CacheVariant = Variant | "mla";

/** The name of attention with these heads. */
export function variantOf(numHeads: number, numKvHeads: number): Variant {
  if (numKvHeads === numHeads) return "mha";
  return numKvHeads === 1 ? "mqa" : "gqa";
}
