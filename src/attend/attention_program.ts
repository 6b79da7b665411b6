import type { FusedPlan } from "../plan/fused.ts";
import type { StagedPlan } from "../plan/staged.ts";
import { fusedProgram } from "./fused_program.ts";
import type { Program } from "./program.ts";
import { stagedProgram } from "./staged_program.ts";

/** The program of a plan, whichever its implementation. */
export function attentionProgram(plan: FusedPlan | StagedPlan): Program {
  return plan.impl === "fused" ? fusedProgram(plan) : stagedProgram(plan);
}
