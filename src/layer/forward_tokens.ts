import type { Turns } from "../base/turns.ts";
import type { BoundWork } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { type HostFloats, type HostTensor, Tensor } from "../tensor/tensor.ts";

/** Runs a layer over new tokens [B, S, dim] from arrays to arrays, when it is the turn of the call. */
export async function forwardTokens(
  action: string,
  gpu: Gpu,
  turns: Turns,
  x: HostTensor,
  bind: (tensors: { x: Tensor; y: Tensor }) => Promise<BoundWork>,
): Promise<HostFloats> {
  return await Owned.use(async (owned) => {
    // The caller may change the tokens before it is the turn of this call: they are copied now.
    const uploaded = Tensor.upload(gpu, x, { label: "x" });
    const turn = turns.take(async () => {
      const input = owned.keep(await uploaded);
      const output = owned.keep(await Tensor.empty(gpu, input.shape, { label: "y" }));
      const bound = await bind({ x: input, y: output });
      await gpu.guard(action, () => {
        const encoder = gpu.device.createCommandEncoder();
        bound.encode(encoder);
        gpu.device.queue.submit([encoder.finish()]);
      });
      return output;
    });
    const [, output] = await Promise.all([uploaded, turn]);
    return { data: await output.download(), shape: output.shape };
  });
}
