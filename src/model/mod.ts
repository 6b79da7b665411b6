/**
 * A decoder-only transformer around the attention of this library, generating on the GPU.
 *
 * @module
 */
export * from "./decoder.ts";
export type { Sampling } from "./sampler.ts";
export * from "./random_weights.ts";
export * from "./reference.ts";
export * from "./spec.ts";
export * from "./tokenizer/text_stream.ts";
export * from "./tokenizer/parse.ts";
export * from "./tokenizer/tokenizer.ts";
export * from "./weights.ts";
