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
export * from "./src/attend.ts";
export * from "./src/attention.ts";
export * from "./src/attention_weights.ts";
export type { BoundWork, CompiledKernel, Dispatch, Grid } from "./src/bound.ts";
export {
  crossingGroupSize,
  decodeAttentionTime,
  type DeviceRates,
  type RooflineTime,
  rooflineTime,
} from "./src/decode_time.ts";
export {
  Gpu,
  type GpuDescription,
  type GpuFeatures,
  type GpuOptions,
  type WgslDialect,
} from "./src/device.ts";
export * from "./src/errors.ts";
export * from "./src/explain.ts";
export {
  type AttentionParameters,
  attentionParameters,
  type CacheOptions,
  type CacheShape,
  type FeasibleCell,
  feasibleSpace,
  kvCacheBytes,
  largestBatch,
  longestContext,
  type MemoryBudget,
} from "./src/memory.ts";
export type { SequencePair } from "./src/_fork.ts";
export type { KvPart } from "./src/_kv_memory.ts";
export type { HeadRange } from "./src/_parts.ts";
export type { CacheSpec } from "./src/cache_spec.ts";
export { kvBytes, type KvShape } from "./src/kv_shape.ts";
export type { PlanLimits } from "./src/limits.ts";
export type { Loads } from "./src/loads.ts";
export type { PlanBase } from "./src/_plan.ts";
export { type AttentionPlan, planAttention } from "./src/plan.ts";
export type { FusedTile } from "./src/fused_tile.ts";
export type { FusedPlan } from "./src/plan_fused.ts";
export type { RowBlock, StagedPlan } from "./src/plan_staged.ts";
export type { DeviceProfile, MatrixBlock } from "./src/profile.ts";
export type { Tiling } from "./src/tiling.ts";
export * from "./src/merge_states.ts";
export * from "./src/multi_query_attention.ts";
export * from "./src/output_change.ts";
export { poolKvHeads, type PoolOptions } from "./src/pool_kv_heads.ts";
export * from "./src/pooling_change.ts";
export * from "./src/qkv_weights.ts";
export * from "./src/reference.ts";
export * from "./src/reference_layer.ts";
export type { Overflow } from "./src/_ring.ts";
export * from "./src/ring_kv_cache.ts";
export type { RopeOptions } from "./src/rope.ts";
export * from "./src/shared_prefix_attention.ts";
export type { Alignment, FilledScoreSpec, ScoreSpec } from "./src/score_spec.ts";
export type {
  AttentionOutput,
  AttentionSpec,
  FilledSpec,
  Implementation,
  Products,
  StageOutput,
} from "./src/spec.ts";
export type { Layout } from "./src/layout.ts";
export type { Dtype, ElementType, KvDtype } from "./src/dtype.ts";
export { type HostMask, type HostTensor, Tensor, type TensorOptions } from "./src/tensor.ts";
export * from "./src/tree_mask.ts";
export type { Tuning } from "./src/tuning.ts";
