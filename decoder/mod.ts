/**
 * A decoder-only transformer around the attention of this library, generating on the GPU.
 *
 * @module
 */
export * from "./decoder.ts";
export type { Sampling } from "./_sampler.ts";
export * from "./random_weights.ts";
export * from "./reference.ts";
export * from "./spec.ts";
export * from "./text_stream.ts";
export * from "./parse_tokenizer.ts";
export * from "./tokenizer.ts";
export * from "./weights.ts";
