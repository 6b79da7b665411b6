/**
 * A decoder-only transformer around the attention of this library, generating on the GPU.
 *
 * @module
 */
export type { MergeReport } from "../layer/merging/merge_kv_heads.ts";
export * from "./batch.ts";
export type {
  BatchFinish,
  BatchSequence,
  BatchSequenceOptions,
  GeneratedToken,
} from "./batch_sequence.ts";
export type { BatchStep, BatchSteps } from "./batch_steps.ts";
export * from "./decoder.ts";
export type { ModelOptions } from "./model.ts";
export type { DecoderSource } from "./decoder_source.ts";
export type { LayerMergeReport } from "./merging/decoder_merge.ts";
export * from "./merging/draw_calibration.ts";
export * from "./merging/merge_decoder.ts";
export type { TokenLogprob } from "./sampler.ts";
export type { Sampling } from "./sampling.ts";
export * from "./random_weights.ts";
export * from "./reference.ts";
export type { RemoteKv, RemoteKvSpec, RemoteTokens } from "./remote_kv.ts";
export * from "./spec.ts";
export * from "./tokenizer/text_stream.ts";
export * from "./tokenizer/parse.ts";
export * from "./tokenizer/tokenizer.ts";
export * from "./weights.ts";
