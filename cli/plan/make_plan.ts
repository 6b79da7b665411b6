/** From a request to a plan. Pure. */
import {
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
  rooflineTime,
} from "../../mod.ts";
import { activationBytes, ownCache, touchedParameters } from "../shared/preset.ts";
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
    variants: [
      ...kvHeads.map((numKvHeads) => planVariant(numKvHeads, request, budget)),
      ...(model.latent ? [planLatent(model.latent, request, budget)] : []),
    ],
    groups: request.dtypes.map((dtype) => planGroups(request, dtype)),
    notes: notesOn(request),
  };
}

type Budget = { memoryBytes: number; weightBytes: number; activationBytes: number };

function planVariant(
  numKvHeads: number,
  request: PlanRequest,
  budget: Budget | undefined,
): VariantPlan {
  const shape = { ...request.model, numKvHeads };
  const variant = variantOf(shape.numHeads, numKvHeads);
  return {
    variant,
    label: variant === "gqa" ? `GQA-${numKvHeads}` : variant.toUpperCase(),
    numKvHeads,
    isOwn: !shape.latent && numKvHeads === request.model.numKvHeads,
    parameters: attentionParameters(shape),
    caches: request.dtypes.map((dtype) => planCache(shape, dtype, request, budget)),
  };
}

/** The model as it was trained, with keys and values compressed. */
function planLatent(
  latent: LatentSizes,
  request: PlanRequest,
  budget: Budget | undefined,
): VariantPlan {
  const { model } = request;
  const { numHeads, hiddenSize: dim, headDim, valueDim = headDim } = model;
  const shape = { ...ownCache(model), numHeads };
  return {
    variant: "mla",
    label: "MLA",
    numKvHeads: shape.numKvHeads,
    isOwn: true,
    parameters: latentAttentionParameters({ dim, numHeads, headDim, valueDim, latent }),
    caches: request.dtypes.map((dtype) => planCache(shape, dtype, request, budget)),
  };
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
    // Each weight is read once for the whole batch, where some token needs it, and multiply-add once for each that does.
    const weights = rooflineTime(
      {
        bytes: touchedParameters(model, batch) * weightBits / 8,
        flops: 2 * touchedParameters(model, 1) * batch,
      },
      { ...attentionRates(device), flopsPerSecond: device.f16FlopsPerSecond },
    );
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
