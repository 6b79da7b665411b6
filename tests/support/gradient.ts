import {
  Attention,
  AttentionGradient,
  type AttentionSpec,
  type Dtype,
  type HostTensor,
  referenceGradient,
  type Tensor,
} from "../../mod.ts";
import { assertClose } from "./compare.ts";
import type { Random } from "./random.ts";
import { type Inputs, shapeOf, submit, swapLayout, Tensors } from "./run.ts";
import { sharedGpu } from "./gpu.ts";
import { type Draw, referenceOf } from "./score_options.ts";

/** What a gradient wrote. */
export type Gradients = Record<"dq" | "dk" | "dv", Float32Array>;

/** Largest difference from the float64 reference, over the largest magnitude of a gradient. */
export const RELATIVE_TOLERANCE = { f32: 1e-4, f16: 6e-3 } as const;

/** A random gradient of the output of an attention. */
export function randomDO(random: Random, spec: AttentionSpec): HostTensor {
  const { batch = 1, numHeads, headDim, valueDim = headDim, seqLen = 1, layout = "BSNH" } = spec;
  return random.tensor(
    shapeOf(layout, { batch, heads: numHeads, tokens: seqLen, size: valueDim }),
  );
}

/** Runs an attention and its gradient, and reads back the gradients; `whole` are outputs that are not those of the attention. */
export async function runGradient(
  spec: AttentionSpec,
  inputs: Inputs,
  dO: HostTensor,
  whole?: { o: HostTensor; lse: HostTensor },
): Promise<Gradients> {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const { dtype = "f32", kvDtype = dtype } = spec;
  const planned = { ...spec, bias: inputs.bias?.shape, mask: inputs.mask?.shape };
  const attention = tensors.keep(
    await Attention.create(gpu, { ...planned, impl: "auto", outputs: ["lse"] }),
  );
  const gradient = tensors.keep(await AttentionGradient.create(gpu, planned));
  const optional = async (source: HostTensor | undefined, type: "f32" | "f16" | "u32") =>
    source && await tensors.upload(source, type);
  const read = {
    modTensors: await tensors.uploadAll(attention.plan.spec, inputs.modTensors),
    q: await tensors.upload(inputs.q, dtype),
    k: await tensors.upload(inputs.k, kvDtype),
    v: await tensors.upload(inputs.v, kvDtype),
    lengths: await optional(inputs.lengths, "u32"),
    bias: await optional(inputs.bias, dtype),
    mask: inputs.mask && await tensors.upload(inputs.mask, "bool"),
  };
  const outputs = {
    o: await (whole ? tensors.upload(whole.o, dtype) : tensors.poisoned(dO.shape, dtype)),
    lse: await (whole ? tensors.upload(whole.lse) : tensors.poisoned(dO.shape.slice(0, -1))),
  };
  const gradients: Record<keyof Gradients, Tensor> = {
    dq: await tensors.poisoned(inputs.q.shape, dtype),
    dk: await tensors.poisoned(inputs.k.shape, kvDtype as Dtype),
    dv: await tensors.poisoned(inputs.v.shape, kvDtype as Dtype),
  };
  const uploaded = await tensors.upload(dO, dtype);
  await submit((encoder) => {
    if (!whole) attention.encode(encoder, { ...read, ...outputs });
    gradient.encode(encoder, { ...read, ...outputs, dO: uploaded, ...gradients });
  });
  const downloads = Object.entries(gradients).map(async ([name, tensor]) =>
    [name, await tensor.download()] as const
  );
  return Object.fromEntries(await Promise.all(downloads)) as Gradients;
}

/** Checks the gradients of a draw against the float64 reference. */
export async function checkGradient(draw: Draw, dO: HostTensor): Promise<void> {
  const { spec, inputs } = draw;
  const { dtype = "f32", kvDtype = dtype, layout = "BSNH", kvLayout = layout } = spec;
  const actual = await runGradient(spec, inputs, dO);
  const expected = referenceGradient(referenceOf(draw)[0], dO, referenceOf(draw)[1]);
  const isF16 = dtype === "f16" || kvDtype === "f16";
  for (const name of ["dq", "dk", "dv"] as const) {
    const shape = inputs[name === "dq" ? "q" : name === "dk" ? "k" : "v"].shape;
    const own = { data: actual[name], shape };
    const isSwapped = name !== "dq" && layout !== kvLayout;
    assertRelative(
      (isSwapped ? swapLayout(own) : own).data,
      expected[name],
      RELATIVE_TOLERANCE[isF16 ? "f16" : "f32"],
      name,
    );
  }
}

/** Every number is as close as its tolerance times the largest magnitude that is expected. */
export function assertRelative(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  const largest = Array.from(expected).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  assertClose(actual, expected, tolerance * Math.max(largest, 1e-3), what);
}
