/**
 * Multi-query, grouped-query and multi-head attention on WebGPU, with a ring-buffer KV cache.
 *
 * Many query heads share one key/value head (Shazeer 2019, "Fast Transformer Decoding: One Write-Head is All You Need",
 * arXiv 1911.02150), so that the KV cache is `numHeads` times smaller and decoding is no longer bound by memory. The same
 * kernels, given more KV heads, are grouped-query and multi-head attention.
 *
 * @example Four query heads, one key/value head
 * ```ts
 * import { attend, Gpu } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const random = (...shape: number[]) => ({
 *   data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random),
 *   shape,
 * });
 * const { o } = await attend(gpu, {
 *   q: random(1, 10, 4, 64), // [batch, tokens, query heads, head size]
 *   k: random(1, 10, 1, 64), // [batch, tokens, KV heads, head size]
 *   v: random(1, 10, 1, 64),
 * });
 * console.log(o.shape); // [1, 10, 4, 64]
 * gpu.destroy();
 * ```
 *
 * @module
 */
export * from "./src/attend/attend.ts";
export * from "./src/attend/attention.ts";
export * from "./src/attend/attention_gradient.ts";
export type { AttentionGradientTensors } from "./src/attend/gradient_tensors.ts";
export { BlockMask, type BlockMaskTensors } from "./src/attend/block_mask.ts";
export type { AttentionTensors, CachedKv } from "./src/attend/attention_tensors.ts";
export type { ContiguousKv } from "./src/cache/contiguous_kv.ts";
export type { KvView, ViewingQueries } from "./src/cache/kv_view.ts";
export * from "./src/layer/attention_weights.ts";
export type { BoundWork, CompiledKernel, Dispatch, Grid } from "./src/gpu/bound_work.ts";
export { crossingGroupSize, decodeAttentionTime } from "./src/costs/decode_time.ts";
export {
  shardedAttentionTime,
  shardedContextFrom,
  type ShardedTime,
  type ShardRound,
} from "./src/costs/shard_time.ts";
export { type DeviceRates, type RooflineTime, rooflineTime } from "./src/costs/roofline.ts";
export {
  Gpu,
  type GpuDescription,
  type GpuFeatures,
  type GpuOptions,
  type WgslDialect,
} from "./src/gpu/device.ts";
export * from "./src/base/errors.ts";
export * from "./src/plan/explain.ts";
export * from "./src/costs/attention_parameters.ts";
export { type CacheOptions, type CacheShape, kvCacheBytes } from "./src/costs/cache_bytes.ts";
export {
  type FeasibleCell,
  feasibleSpace,
  largestBatch,
  longestContext,
  type MemoryBudget,
} from "./src/costs/memory.ts";
export type { SequencePair } from "./src/cache/fork.ts";
export type { KvPart } from "./src/cache/kv_memory.ts";
export type { HeadRange } from "./src/cache/head_parts.ts";
export type { CacheSpec } from "./src/cache/cache_spec.ts";
export {
  calibrateKv,
  type CapturedKv,
  type ChannelCalibration,
  type KvCalibration,
} from "./src/cache/kv_calibration.ts";
export type { KvRotation, KvTransform } from "./src/cache/kv_transform.ts";
export { kvBytes, type KvShape } from "./src/cache/kv_shape.ts";
export type { PlanLimits } from "./src/gpu/limits.ts";
export type { Loads } from "./src/tensor/loads.ts";
export type { PlanBase } from "./src/plan/plan_base.ts";
export type { StagedTile } from "./src/plan/staged_tile.ts";
export { type PagedUse, planPages } from "./src/plan/pages.ts";
export { type AttentionPlan, planAttention } from "./src/plan/plan.ts";
export { type AttentionGradientPlan, planAttentionGradient } from "./src/plan/backward.ts";
export type { AttentionGradientSpec, ScoreGradient } from "./src/plan/backward_spec.ts";
export type { GradientTile } from "./src/plan/backward_tile.ts";
export type { FusedTile } from "./src/plan/fused_tile.ts";
export type { FusedPlan, TileBlock } from "./src/plan/fused.ts";
export type { UniformPassing } from "./src/plan/uniform_gradient.ts";
export type { UniformRange, UniformRanges } from "./src/plan/uniform_ranges.ts";
export type { TexelFill } from "./src/plan/texels.ts";
export type { TransformPlan } from "./src/plan/transform.ts";
export type { RowBlock } from "./src/plan/row_blocks.ts";
export type { StagedPlan } from "./src/plan/staged.ts";
export type { DeviceProfile, MatrixBlock } from "./src/gpu/profile.ts";
export type { Tiling } from "./src/plan/tiling.ts";
export { type AttentionState, MergeStates, mergeStates } from "./src/attend/merge_states.ts";
export * from "./src/layer/latent_attention.ts";
export type { LatentAttentionWeights } from "./src/layer/latent_weights.ts";
export * from "./src/layer/multi_query_attention.ts";
export type { LatentForm, LatentPlan, LatentShape } from "./src/plan/latent.ts";
export * from "./src/reference/output_change.ts";
export * from "./src/layer/merging/merge_kv_heads.ts";
export { poolKvHeads, type PoolOptions } from "./src/layer/pool_kv_heads.ts";
export * from "./src/reference/pooling_change.ts";
export * from "./src/reference/pooling_report.ts";
export * from "./src/layer/qkv_weights.ts";
export {
  type QueryRow,
  referenceAttention,
  type ReferenceInputs,
  referenceMergeStates,
  type ReferenceOptions,
  type ReferenceResult,
  type ReferenceRow,
  referenceRow,
  type ScoreAt,
} from "./src/reference/attention.ts";
export * from "./src/reference/attention_gradient.ts";
export * from "./src/reference/latent_layer.ts";
export { referenceLayer, type ReferenceLayerOptions } from "./src/reference/layer.ts";
export type { RingKvCacheOptions } from "./src/cache/ring_options.ts";
export type { Overflow } from "./src/cache/ring_rules.ts";
export type { NewTokens } from "./src/cache/new_tokens.ts";
export type { RestoreOptions } from "./src/cache/restore_options.ts";
export * from "./src/cache/ring_kv_cache.ts";
export { PagePool, type PagePoolOptions, type PoolShape } from "./src/cache/page_pool.ts";
export { PagedKvCache } from "./src/cache/paged_kv_cache.ts";
export type { PagedKvCacheOptions } from "./src/cache/paged_options.ts";
export { PagedLayer, type PagedTokens } from "./src/cache/paged_layer.ts";
export { type KnownPrefix, PageAllocator } from "./src/cache/page_allocator.ts";
export type { PageLayout } from "./src/cache/cache_spec.ts";
export type { RopeOptions } from "./src/cache/rope.ts";
export * from "./src/attend/shared_prefix_attention.ts";
export type { ModTensors } from "./src/score/mod_tensors.ts";
export type { ModKind, ModText } from "./src/score/mod_text.ts";
export type {
  FilledMod,
  MaskMod,
  Mods,
  ModScalar,
  ModTensor,
  ScoreMod,
} from "./src/score/score_mod.ts";
export type { Alignment, FilledScoreSpec, ScoreSpec } from "./src/score/score_spec.ts";
export type { Arithmetic, AttentionSpec, FilledSpec, Implementation } from "./src/plan/spec.ts";
export type { AttentionOutput, StageOutput } from "./src/plan/outputs.ts";
export type { Layout } from "./src/tensor/layout.ts";
export type { Dtype, ElementType, KvDtype } from "./src/tensor/dtype.ts";
export {
  type HostFloats,
  type HostMask,
  type HostTensor,
  Tensor,
  type TensorOptions,
} from "./src/tensor/tensor.ts";
export * from "./src/score/tree_mask.ts";
export type { Tuning } from "./src/plan/tuning.ts";
