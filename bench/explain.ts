/** The plans of the bench's cases on an adapter. */
import { explain, type Gpu, planAttention } from "../mod.ts";
import type { Case } from "./cases.ts";
import { specOf } from "./subject.ts";

/** The plan of each case, under its name. */
export function explainCases(gpu: Gpu, cases: readonly Case[]): string {
  return cases.map((case_) => {
    const { name, phase, variant, contextLen } = case_;
    return `${name}, ${phase}, context ${contextLen}, ${variant}\n${
      indent(explainCase(gpu, case_))
    }\n`;
  }).join("\n");
}

function explainCase(gpu: Gpu, case_: Case): string {
  const { limits } = gpu.device;
  try {
    return explain(planAttention(specOf(case_), limits, gpu.profile));
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return error.message;
    throw error;
  }
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}
