import { crossingGroupSize, decodeAttentionTime, type KvDtype } from "../../mod.ts";
import { attentionRates } from "./device.ts";
import type { GroupPlan, PlanRequest } from "./plan.ts";

/** The model's query heads in every division into groups, the corner among them where it lies within. */
export function planGroups({ model, device, contextLens }: PlanRequest, dtype: KvDtype): GroupPlan {
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
