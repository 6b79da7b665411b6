/** The modules of attention, whichever its implementation. */
import type { WgslModule } from "../gpu/compose.ts";
import type { AttentionPlan } from "../plan/plan.ts";
import { fusedModules } from "./fused_module.ts";
import { stagedModules } from "./staged_module.ts";

/** The modules of a plan: one for each kernel that it dispatches. */
export function attentionModules(plan: AttentionPlan): WgslModule[] {
  return Object.values({ ...(plan.impl === "fused" ? fusedModules(plan) : stagedModules(plan)) });
}
