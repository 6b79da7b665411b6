import type { CachePlan, Plan, VariantPlan } from "../plan.ts";

/** Every cache of a plan, element type by element type. */
export function eachCache(plan: Plan): { variant: VariantPlan; cache: CachePlan }[] {
  const [{ caches }] = plan.variants;
  return caches.flatMap((_, i) =>
    plan.variants.map((variant) => ({ variant, cache: variant.caches[i] }))
  );
}
