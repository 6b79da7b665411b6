/** The examples that share a device with a package of npm, which they fetch when they run. */
import type { Verdict } from "./verdict.ts";

/** An example exports how far it is from the reference. */
type Example = () => Promise<{ error: number }>;

/** By the package that the device is shared with. */
export const EXAMPLES: Readonly<Record<string, Example>> = {
  tfjs: () => import("../../examples/share_device_tfjs.ts"),
  onnx: () => import("../../examples/share_device_onnx.ts"),
};

const TOLERANCE = 2e-5;

/** Runs an example and checks its result. */
export async function runExample(example: Example): Promise<Verdict> {
  const { error } = await example();
  const failures = error <= TOLERANCE ? [] : [`off by ${error}, more than ${TOLERANCE}`];
  const status = failures.length === 0 ? "passed" : "failed";
  return { status, summary: `shares its device, off by ${error.toExponential(1)}`, failures };
}
