/** Our own library as one of the systems, forward and backward also apart. */
import { Attention, AttentionGradient, type Gpu, Tensor } from "../../mod.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { texelBytes } from "../../src/plan/texels.ts";
import { type Work, workOf } from "../stopwatch.ts";
import type { GradientCase, GradientInputs, PreparedGradient } from "./system.ts";

/** Ours, with its parts and its memory. */
export interface PreparedOnehead extends PreparedGradient {
  /** Forward alone, and backward alone. */
  parts: Readonly<Record<"forward" | "backward", Work>>;
  /** Bytes of all tensors, and of the scratch of both. */
  bytes: number;
}

/** Prepares attention with its log-sum-exp, and its gradient. */
export async function prepareOnehead(
  gpu: Gpu,
  { tokens, numHeads, numKvHeads, headDim }: GradientCase,
  inputs: GradientInputs,
): Promise<PreparedOnehead> {
  return await Owned.make(async (owned) => {
    const spec = { numHeads, numKvHeads, headDim, seqLen: tokens, capacity: tokens };
    const attention = owned.keep(await Attention.create(gpu, { ...spec, outputs: ["lse"] }));
    const gradient = owned.keep(await AttentionGradient.create(gpu, spec));
    const shape = (heads: number) => [1, tokens, heads, headDim];
    const upload = async (data: Float32Array, heads: number) =>
      owned.keep(await Tensor.upload(gpu, { data, shape: shape(heads) }));
    const empty = async (shape: number[]) => owned.keep(await Tensor.empty(gpu, shape));
    const tensors = {
      q: await upload(inputs.q, numHeads),
      k: await upload(inputs.k, numKvHeads),
      v: await upload(inputs.v, numKvHeads),
      o: await empty(shape(numHeads)),
      lse: await empty([1, tokens, numHeads]),
    };
    const dO = await upload(inputs.dO, numHeads);
    const [dq, dk, dv] = [
      await empty(shape(numHeads)),
      await empty(shape(numKvHeads)),
      await empty(shape(numKvHeads)),
    ];
    const forward = attention.bind(tensors);
    const backward = gradient.bind({ ...tensors, dO, dq, dk, dv });
    const all = [...Object.values(tensors), dO, dq, dk, dv];
    const { plan } = attention;
    // The gradient reads the textures of the attention, and one of its own.
    const shared = plan.impl === "fused" && gradient.plan.texels ? texelBytes(plan.texels) : 0;
    const scratch = plan.scratchBytes + gradient.plan.scratchBytes - shared;
    return {
      bytes: all.reduce((sum, { bytes }) => sum + bytes, scratch),
      parts: {
        forward: workOf(gpu, (pass) => forward.encode(pass)),
        backward: workOf(gpu, (pass) => backward.encode(pass)),
      },
      run: workOf(gpu, (pass) => {
        forward.encode(pass);
        backward.encode(pass);
      }),
      async gradients() {
        return { dq: await dq.download(), dk: await dk.download(), dv: await dv.download() };
      },
      destroy: () => owned.destroy(),
    };
  });
}
