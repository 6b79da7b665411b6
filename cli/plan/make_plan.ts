/** From a request to a plan. Pure. */
import {
  type AttentionParameters,
  attentionParameters,
  type CacheShape,
  decodeAttentionTime,
  feasibleSpace,
  kvCacheBytes,
  type KvDtype,
  largestBatch,
  latentAttentionParameters,
  type LatentSizes,
  longestContext,
} from "../../mod.ts";
import { activationBytes, type Model } from "../shared/preset.ts";
import { planGroups } from "./group_plan.ts";
import { attentionRates } from "./device.ts";
import { planFleet } from "./fleet/plan_fleet.ts";
import { notesOn } from "./notes.ts";
import { type ModelVariant, variantsOf } from "./variants.ts";
import { weightsTime } from "./weights_time.ts";
import type { CachePlan, Plan, PlanCell, PlanRequest, VariantPlan } from "./plan.ts";

/**
 * Plans.
 *
 * @throws {RangeError} If the weights do not fit the device, or no number of KV heads divides the heads.
 */
export function makePlan(request: PlanRequest): Plan {
  const { model, device, kvHeads, weightBits } = request;
  const weightBytes = model.parameters * weightBits / 8;
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
    variants: variantsOf(model, kvHeads).map((variant) => planVariant(variant, request, budget)),
    groups: request.dtypes.map((dtype) => planGroups(request, dtype)),
    fleet: request.fleet && planFleet(request, request.fleet),
    notes: notesOn(request),
  };
}

type Budget = { memoryBytes: number; weightBytes: number; activationBytes: number };

function planVariant(
  { shape, ...variant }: ModelVariant,
  request: PlanRequest,
  budget: Budget | undefined,
): VariantPlan {
  const { model } = request;
  return {
    ...variant,
    numKvHeads: shape.numKvHeads,
    parameters: shape.isLatent ? latentParameters(model, model.latent!) : attentionParameters({
      ...model,
      numKvHeads: shape.numKvHeads,
    }),
    caches: request.dtypes.map((dtype) => planCache(shape, dtype, request, budget)),
  };
}

function latentParameters(model: Model, latent: LatentSizes): AttentionParameters {
  const { numHeads, hiddenSize: dim, headDim, valueDim = headDim } = model;
  return latentAttentionParameters({ dim, numHeads, headDim, valueDim, latent });
}

function planCache(
  shape: CacheShape & { numHeads: number },
  dtype: KvDtype,
  { model, device, contextLens, batches, weightBits }: PlanRequest,
  budget: Budget | undefined,
): CachePlan {
  const fits = budget &&
    feasibleSpace(shape, budget, { contextLens, batches, dtype }).map(({ fits }) => fits);
  const pairs = contextLens.flatMap((contextLen) =>
    batches.map((batch) => ({ contextLen, batch }))
  );
  const cells = pairs.map(({ contextLen, batch }, i): PlanCell => {
    const attention = decodeAttentionTime(shape, attentionRates(device), {
      contextLen,
      batch,
      dtype,
    });
    const weights = weightsTime(model, device, { tokens: batch, weightBits });
    return {
      contextLen,
      batch,
      kvBytes: kvCacheBytes(shape, { contextLen, batch, dtype }),
      fits: fits ? fits[i] : null,
      attentionMs: attention.seconds * 1e3,
      weightsMs: weights.seconds * 1e3,
      tokensPerSecond: batch / (attention.seconds + weights.seconds),
      bound: attention.bound,
    };
  });
  return {
    dtype,
    bytesPerToken: kvCacheBytes(shape, { contextLen: 1, dtype }),
    cells,
    longestContexts: batches.map((batch) => ({
      batch,
      contextLen: budget ? longestContext(shape, budget, { batch, dtype }) : null,
    })),
    largestBatches: contextLens.map((contextLen) => ({
      contextLen,
      batch: budget ? largestBatch(shape, budget, { contextLen, dtype }) : null,
    })),
  };
}
