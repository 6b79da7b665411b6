/** What a model's attention costs on a device: everything that the planner prints, draws and writes. Pure. */
import {
  type AttentionParameters,
  attentionParameters,
  crossingGroupSize,
  decodeAttentionTime,
  feasibleSpace,
  kvCacheBytes,
  type KvDtype,
  largestBatch,
  longestContext,
  rooflineTime,
} from "../../mod.ts";
import { type Variant, variantOf } from "../shared/variant.ts";
import type { Device } from "./gpus.ts";
import { activationBytes, type Model } from "../shared/preset.ts";

/** What to plan. */
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
}

/** One context and batch of one cache. */
export interface PlanCell {
  contextLen: number;
  batch: number;
  /** Bytes of K and V. */
  kvBytes: number;
  /** Whether the device holds it; null where its memory is not known. */
  fits: boolean | null;
  /** What a decode step takes at least: attention, and everything else (bound by the weights). */
  attentionMs: number;
  weightsMs: number;
  /** New tokens per second over the whole batch, at most. */
  tokensPerSecond: number;
  /** What attention waits for. */
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

/** The model with some number of KV heads. */
export interface VariantPlan {
  variant: Variant;
  /** "MHA", "GQA-8" or "MQA". */
  label: string;
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
  /** What the weights leave; null where the device's memory is not known. */
  freeBytes: number | null;
  variants: VariantPlan[];
  groups: GroupPlan[];
  /** What a reader should know beside the figures. */
  notes: string[];
}

/**
 * Plans.
 *
 * @throws {RangeError} If the weights do not fit the device, or no number of KV heads divides the heads.
 */
export function makePlan(request: PlanRequest): Plan {
  const { model, device } = request;
  const weightBytes = model.parameters * request.weightBits / 8;
  // MHA first: the others are held against it.
  const kvHeads = request.kvHeads.filter((numKvHeads) => model.numHeads % numKvHeads === 0)
    .sort((a, b) => b - a);
  if (kvHeads.length === 0) {
    throw new RangeError(
      `Cannot plan as KV heads must divide the heads of ${model.name}: current values heads=${model.numHeads}, KV heads=${request.kvHeads}`,
    );
  }
  const budget = device.memoryBytes === undefined ? undefined : {
    memoryBytes: device.memoryBytes,
    weightBytes,
    activationBytes: activationBytes(model),
  };
  return {
    schema: 1,
    model,
    device,
    weightBytes,
    activationBytes: activationBytes(model),
    freeBytes: budget ? budget.memoryBytes - weightBytes : null,
    variants: kvHeads.map((numKvHeads) => planVariant({ ...model, numKvHeads }, request, budget)),
    groups: request.dtypes.map((dtype) => planGroups(request, dtype)),
    notes: notesOn(request),
  };
}

type Budget = { memoryBytes: number; weightBytes: number; activationBytes: number };

function planVariant(
  model: Model,
  request: PlanRequest,
  budget: Budget | undefined,
): VariantPlan {
  const { numHeads, numKvHeads } = model;
  const variant = variantOf(numHeads, numKvHeads);
  return {
    variant,
    label: variant === "gqa" ? `GQA-${numKvHeads}` : variant.toUpperCase(),
    numKvHeads,
    isOwn: numKvHeads === request.model.numKvHeads,
    parameters: attentionParameters(model),
    caches: request.dtypes.map((dtype) => planCache(model, dtype, request, budget)),
  };
}

function planCache(
  model: Model,
  dtype: KvDtype,
  { device, contextLens, batches, weightBits }: PlanRequest,
  budget: Budget | undefined,
): CachePlan {
  const fits = budget &&
    feasibleSpace(model, budget, { contextLens, batches, dtype }).map(({ fits }) => fits);
  const pairs = contextLens.flatMap((contextLen) =>
    batches.map((batch) => ({ contextLen, batch }))
  );
  const cells = pairs.map(({ contextLen, batch }, i): PlanCell => {
    const attention = decodeAttentionTime(model, attentionRates(device), {
      contextLen,
      batch,
      dtype,
    });
    // All weights are read once for the whole batch, and multiply-add once for each sequence.
    const weights = rooflineTime(
      { bytes: model.parameters * weightBits / 8, flops: 2 * model.parameters * batch },
      { ...attentionRates(device), flopsPerSecond: device.f16FlopsPerSecond },
    );
    return {
      contextLen,
      batch,
      kvBytes: kvCacheBytes(model, { contextLen, batch, dtype }),
      fits: fits ? fits[i] : null,
      attentionMs: attention.seconds * 1e3,
      weightsMs: weights.seconds * 1e3,
      tokensPerSecond: batch / (attention.seconds + weights.seconds),
      bound: attention.bound,
    };
  });
  return {
    dtype,
    bytesPerToken: kvCacheBytes(model, { contextLen: 1, dtype }),
    cells,
    longestContexts: batches.map((batch) => ({
      batch,
      contextLen: budget ? longestContext(model, budget, { batch, dtype }) : null,
    })),
    largestBatches: contextLens.map((contextLen) => ({
      contextLen,
      batch: budget ? largestBatch(model, budget, { contextLen, dtype }) : null,
    })),
  };
}

/** The model's query heads in every division into groups, the corner among them where it lies within. */
function planGroups({ model, device, contextLens }: PlanRequest, dtype: KvDtype): GroupPlan {
  const { numHeads } = model;
  const contextLen = Math.max(...contextLens);
  const rates = attentionRates(device);
  const sizes = Array.from({ length: numHeads }, (_, i) => i + 1)
    .filter((groupSize) => numHeads % groupSize === 0);
  const points: GroupPlan["points"] = sizes.map((groupSize) => {
    const shape = { ...model, numKvHeads: numHeads / groupSize };
    const { seconds, bound } = decodeAttentionTime(shape, rates, { contextLen, dtype });
    return { groupSize, tokensPerSecond: 1 / seconds, bound };
  });
  const crossing = crossingGroupSize({ ...model, dtype }, rates);
  if (crossing >= 1 && crossing <= numHeads) {
    // Operations do not depend on the group; at the corner the bytes take as long as they do.
    const { computeSeconds } = decodeAttentionTime(model, rates, { contextLen, dtype });
    const seconds = rates.isSerial ? 2 * computeSeconds : computeSeconds;
    points.push({ groupSize: crossing, tokensPerSecond: 1 / seconds, bound: "both" });
    points.sort((a, b) => a.groupSize - b.groupSize);
  }
  return { dtype, contextLen, crossingGroupSize: crossing, points };
}

function attentionRates({ bytesPerSecond, f32FlopsPerSecond, isSerial }: Device) {
  return { bytesPerSecond, flopsPerSecond: f32FlopsPerSecond, isSerial };
}

function notesOn({ model, device, kvHeads, contextLens }: PlanRequest): string[] {
  const notes = [];
  const odd = kvHeads.filter((numKvHeads) => model.numHeads % numKvHeads !== 0);
  if (odd.length > 0) {
    notes.push(`${odd.join(" and ")} KV heads are left out: they do not divide ${model.numHeads}.`);
  }
  if (device.memoryBytes === undefined) {
    notes.push(
      "This device's memory is not known, so that nothing is said to fit (give it as --memory SIZE).",
    );
  }
  const longest = Math.max(...contextLens);
  if (model.maxContext !== undefined && longest > model.maxContext) {
    notes.push(`${model.name} is published for contexts of up to ${model.maxContext} tokens.`);
  }
  if (model.windowed) {
    const { numLayers, window } = model.windowed;
    notes.push(
      `${numLayers} of ${model.numLayers} layers see the last ${window} tokens only and keep no more.`,
    );
  }
  notes.push(
    "Times are what the device's ceilings allow: no step is faster, and most are slower.",
    `All variants have the model's own ${
      (model.parameters / 1e9).toPrecision(3)
    }e9 parameters: models with fewer KV heads widen other layers.`,
  );
  return notes;
}
