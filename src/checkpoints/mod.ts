/**
 * Weights of decoders from the files that people publish: safetensors with a `config.json` of the families that share
 * key/value heads (llama, mistral, gpt_bigcode, falcon, gemma, gemma3), and llama2.c.
 *
 * @example Every weight of a model, one by one
 * ```ts ignore
 * import { openCheckpoint } from "@onehead/attention/checkpoints";
 *
 * const { spec, weights, close } = await openCheckpoint("model.safetensors");
 * for (let layer = 0; layer < spec.layers.length; layer++) {
 *   const { data, shape } = await weights.read(`layers.${layer}.q.weight`);
 *   console.log(shape, data[0]);
 * }
 * await close();
 * ```
 *
 * @module
 */
export type { MergeReport } from "../layer/merging/merge_kv_heads.ts";
export type { LayerMergeReport } from "../model/merging/decoder_merge.ts";
export type { MergeDecoderOptions } from "../model/merging/merge_decoder.ts";
export type { DecoderLayer, DecoderSpec } from "../model/spec.ts";
export type { Tokenizer } from "../model/tokenizer/tokenizer.ts";
export type { DecoderWeights, WeightData } from "../model/weights.ts";
export { CheckpointError } from "../base/errors.ts";
export { bytesInBlob, bytesInMemory, type ByteSource, openFile } from "./byte_source.ts";
export type { Checkpoint } from "./checkpoint.ts";
export { parseDecoderConfig } from "./families/mod.ts";
export { openLlama2c } from "./llama2c.ts";
export { type MergedCheckpoint, withMergedKvHeads } from "./merged.ts";
export { openCheckpoint, type OpenOptions } from "./open.ts";
export { openTokenizer } from "./open_tokenizer.ts";
export { type PooledKvHeadsOptions, withPooledKvHeads } from "./pooled.ts";
export { Safetensors } from "./safetensors.ts";
export { ShardedSafetensors } from "./sharded.ts";
export type { TensorDescription, TensorFile } from "./tensor_file.ts";
export { writeCheckpoint, type WriteOptions } from "./writer/write_checkpoint.ts";
