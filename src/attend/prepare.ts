/** From a plan to attention that is ready to be bound. */
import { checkObject } from "../base/check.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import type { AttentionPlan } from "../plan/plan.ts";
import { ACTION as PLAN } from "../plan/spec.ts";
import { checkModsCompile } from "../score/compile_mods.ts";
import { modBuffers } from "../score/mod_tensors.ts";
import { checkDtype } from "../tensor/tensor.ts";
import { attentionProgram } from "./attention_program.ts";
import { type AttentionTensors, viewTensors } from "./attention_tensors.ts";
import { createExecutor } from "./executor.ts";
import { filledBuffer } from "./filled_buffer.ts";

const ACTION = "encode attention";

/** A plan made ready on a device. */
export interface PreparedAttention {
  /** Checks and binds the tensors of one attention. */
  bind(tensors: AttentionTensors): BoundWork;
}

/**
 * Compiles the kernels of a plan for this device and makes its buffers, which `owned` keeps.
 *
 * @throws {RangeError} If the device lacks an element type.
 * @throws {WgslError} If `scoreMod` or `maskMod` does not compile.
 * @throws {GpuWorkError} If the device refuses the memory or a kernel.
 */
export async function prepareAttention(
  gpu: Gpu,
  owned: Owned,
  plan: AttentionPlan,
): Promise<PreparedAttention> {
  const { dtype, kvDtype, arithmetic, batch, capacity } = plan.spec;
  checkDtype(gpu, PLAN, dtype);
  checkDtype(gpu, PLAN, kvDtype, "kvDtype");
  // A device with matrix units has f16.
  if (arithmetic !== "matrix") checkDtype(gpu, PLAN, arithmetic, "arithmetic");
  await checkModsCompile(gpu, plan.spec);
  const fullLengths = await gpu.guard(
    "allocate attention",
    () => owned.keep(filledBuffer(gpu.device, batch, capacity)),
  );
  const executor = await createExecutor(gpu, owned, attentionProgram(plan));
  return {
    bind(tensors) {
      checkObject(ACTION, "tensors", tensors);
      const given: AttentionTensors = { ...tensors };
      const view = viewTensors(ACTION, gpu, plan, given, fullLengths);
      const { cache: _cache, lengths: _lengths, k: _k, v: _v, modTensors, blockMask, ...others } =
        given;
      const buffers: Record<string, GPUBuffer> = {
        ...{ ...view.buffers, lengths: view.lengthsBuffer, ...modBuffers(plan.spec, modTensors) },
        ...(blockMask && { blocks: blockMask.buffer }),
      };
      for (const [name, tensor] of Object.entries(others)) {
        if (tensor) buffers[name] = tensor.buffer;
      }
      const kv = view.parts.map(({ k, v }) => ({ k: k.buffer, ...(v ? { v: v.buffer } : {}) }));
      return boundWork(executor.bind(buffers, kv), () => {
        view.checkVisible(plan.spec);
        return undefined;
      });
    },
  };
}
