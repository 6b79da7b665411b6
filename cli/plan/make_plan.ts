/** From a request to a plan. Pure. */
import {
  attentionParameters,
  decodeAttentionTime,
  feasibleSpace,
  kvCacheBytes,
  type KvDtype,
  largestBatch,
  longestContext,
  rooflineTime,
} from "../../mod.ts";
import { activationBytes, type Model } from "../shared/preset.ts";
import { variantOf } from "../shared/variant.ts";
import { planGroups } from "./group_plan.ts";
import { attentionRates } from "./device.ts";
import { notesOn } from "./notes.ts";
import type { CachePlan, Plan, PlanCell, PlanRequest, VariantPlan } from "./plan.ts";

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
