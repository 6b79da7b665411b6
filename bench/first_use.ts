/** The first use of kernels: creating the pipeline, and the work that drivers put off until the first dispatch. */
import type { CompiledKernel, Dispatch, Gpu } from "../mod.ts";
import type { Case } from "./cases.ts";
import type { FirstUse } from "./result.ts";

/** Collects the first use of every kernel. */
export class FirstUses {
  /** The first uses, in order. */
  readonly rows: FirstUse[] = [];
  readonly #seen = new Set<CompiledKernel>();

  /** Runs the dispatches one by one, twice where the kernel has not run yet. */
  async measure(gpu: Gpu, case_: Case, dispatches: readonly Dispatch[]): Promise<void> {
    const { name, phase, variant, impl, dtype } = case_;
    for (const dispatch of dispatches) {
      const { kernel } = dispatch;
      const firstMs = await runOnce(gpu, dispatch);
      if (this.#seen.has(kernel)) continue;
      this.#seen.add(kernel);
      this.rows.push({
        kernel: kernel.label,
        ...{ case: name, phase, variant, impl, dtype },
        pipelineMs: kernel.pipelineMs,
        // Both wait for the GPU alike.
        firstRunMs: Math.max(0, firstMs - await runOnce(gpu, dispatch)),
      });
    }
  }
}

async function runOnce(gpu: Gpu, dispatch: Dispatch): Promise<number> {
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  dispatch.encode(pass);
  pass.end();
  const start = performance.now();
  gpu.device.queue.submit([encoder.finish()]);
  await gpu.settled();
  return performance.now() - start;
}
