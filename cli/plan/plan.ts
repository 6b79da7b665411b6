/** The costs of a model's attention on a device: everything that the planner prints, draws and writes. */
import type { AttentionParameters, KvDtype } from "../../mod.ts";
import type { ServingReport } from "../../bench/mod.ts";
import type { Model } from "../shared/preset.ts";
import type { CacheVariant } from "../shared/variant.ts";
import type { Device } from "./device.ts";
import type { FleetDemand, FleetPlan } from "./fleet/fleet.ts";

/** A request for a plan. */
export interface PlanRequest {
  model: Model;
  device: Device;
  /** Tokens per sequence. */
  contextLens: readonly number[];
  /** Sequences. */
  batches: readonly number[];
  /** KV heads of the variants to compare. */
  kvHeads: readonly number[];
  dtypes: readonly KvDtype[];
  /** Bits of a weight. */
  weightBits: number;
  /** A fleet that is asked for. */
  fleet?: FleetDemand;
  /** The serving run whose step times the fleet has, in the place of ceilings. */
  stepTimes?: ServingReport;
}

/** One context and batch of one cache. */
export interface PlanCell {
  contextLen: number;
  batch: number;
  /** Bytes of K and V. */
  kvBytes: number;
  /** Whether the device holds it; null where its memory is not known. */
  fits: boolean | null;
  /** The least time of a decode step: of attention, and of everything else (bound by the parameters). */
  attentionMs: number;
  weightsMs: number;
  /** New tokens per second over the whole batch, at most. */
  tokensPerSecond: number;
  /** The ceiling that bounds attention. */
  bound: "memory" | "compute";
}

/** The cache of one variant in one element type. */
export interface CachePlan {
  dtype: KvDtype;
  /** Bytes that a token of one sequence takes in all layers, before any window is full. */
  bytesPerToken: number;
  cells: PlanCell[];
  /** Longest context by batch; null where memory is not known, Infinity (null in JSON) where windows bound every layer. */
  longestContexts: { batch: number; contextLen: number | null }[];
  /** Largest batch by context; null where memory is not known. */
  largestBatches: { contextLen: number; batch: number | null }[];
}

/** The model with some number of KV heads, or with keys and values compressed (multi-head latent attention, "mla"). */
export interface VariantPlan {
  variant: CacheVariant;
  /** "MHA", "GQA-8", "MQA" or "MLA". */
  label: string;
  /** KV heads of the cache: 1 where all heads share what is compressed. */
  numKvHeads: number;
  /** Whether the model was trained so. */
  isOwn: boolean;
  /** Of one attention layer. */
  parameters: AttentionParameters;
  caches: CachePlan[];
}

/** Attention alone, one sequence, as the group grows; the corner where memory and arithmetic take equally long. */
export interface GroupPlan {
  dtype: KvDtype;
  contextLen: number;
  crossingGroupSize: number;
  points: { groupSize: number; tokensPerSecond: number; bound: "memory" | "compute" | "both" }[];
}

export interface Plan {
  schema: 1;
  model: Model;
  device: Device;
  weightBytes: number;
  /** For each sequence of a batch. */
  activationBytes: number;
  /** Bytes that the parameters leave; null if the device's memory is not known. */
  freeBytes: number | null;
  variants: VariantPlan[];
  groups: GroupPlan[];
  /** The fleet that was asked for. */
  fleet?: FleetPlan;
  /** Notes beside the figures, for the reader. */
  notes: string[];
}
