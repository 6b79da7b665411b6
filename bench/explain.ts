/** The plans of the bench's cases on an adapter, and the kernels that would run. */
import { type AttentionPlan, explain, type Gpu, planAttention } from "../mod.ts";
import { attentionProgram } from "../src/attend/attention_program.ts";
import { compose } from "../src/gpu/compose.ts";
import type { Case } from "./cases.ts";
import { specOf } from "./subject.ts";

/** The plan of each case, under its name. */
export function explainCases(gpu: Gpu, cases: readonly Case[]): string {
  return cases.map((case_) => {
    const plan = planOf(gpu, case_);
    const explained = typeof plan === "string" ? plan : explain(plan);
    return `${titleOf(case_)}\n${explained.replaceAll(/^/gm, "  ")}\n`;
  }).join("\n");
}

/** The WGSL of the kernels that the cases run, each text once, under the names of the cases that share it. */
export function kernelsOfCases(gpu: Gpu, cases: readonly Case[]): string {
  const titles = new Map<string, string[]>();
  for (const case_ of cases) {
    const plan = planOf(gpu, case_);
    const titled = typeof plan === "string"
      ? [{ title: `${titleOf(case_)}: ${plan}`, code: "" }]
      : Object.values(attentionProgram(plan).modules).map((module) => ({
        title: `${module.label}: ${titleOf(case_)}`,
        code: compose(module, gpu.dialect).code,
      }));
    for (const { title, code } of titled) titles.set(code, [...titles.get(code) ?? [], title]);
  }
  return [...titles].map(([code, titles]) =>
    [...titles.map((title) => `// ${title}`), indented(code), ""].join("\n")
  ).join("\n");
}

function titleOf({ name, phase, variant, contextLen, kvDtype }: Case): string {
  return `${name}, ${phase}, context ${contextLen}, ${variant}` +
    (kvDtype === undefined ? "" : `, K and V in ${kvDtype}`);
}

/** The plan, or why there is none. */
function planOf(gpu: Gpu, case_: Case): AttentionPlan | string {
  try {
    return planAttention(specOf(case_), gpu.device.limits, gpu.profile);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return error.message;
    throw error;
  }
}

/** Lines as far to the right as they lie in brackets. */
function indented(code: string): string {
  let depth = 0;
  return code.split("\n").map((line) => {
    const isClosing = /^[})]/.test(line);
    const indent = "  ".repeat(depth - (isClosing ? 1 : 0));
    depth += (line.match(/[{(]/g)?.length ?? 0) - (line.match(/[})]/g)?.length ?? 0);
    return indent + line;
  }).join("\n");
}
