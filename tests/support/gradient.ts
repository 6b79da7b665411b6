import {
  Attention,
  AttentionGradient,
  type AttentionGradientPlan,
  type AttentionGradientSpec,
  type AttentionGradientTensors,
  type AttentionSpec,
  type BoundWork,
  type DeviceProfile,
  type Dtype,
  type HostTensor,
  planAttentionGradient,
  type PlanLimits,
  referenceGradient,
  type ScoreGradient,
  type Tensor,
} from "../../mod.ts";
import { createExecutor } from "../../src/attend/executor.ts";
import { gradientProgram } from "../../src/attend/gradient_program.ts";
import { boundWork } from "../../src/gpu/bound_work.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { SCORE_GRADIENTS } from "../../src/plan/backward_spec.ts";
import { assertClose } from "./compare.ts";
import { sharedGpu } from "./gpu.ts";
import { profileOn } from "./plan.ts";
import type { Random } from "./random.ts";
import { type Inputs, shapeOf, submit, swapLayout, Tensors } from "./run.ts";
import { type Draw, referenceOf } from "./score_options.ts";

/** What a gradient wrote. */
export type Gradients =
  & Record<"dq" | "dk" | "dv", Float32Array>
  & Partial<Record<ScoreGradient, Float32Array>>;

/** All gradients that an attention can have beside dq, dk and dv. */
function scoreGradients(spec: AttentionSpec, { bias }: Inputs): ScoreGradient[] {
  const given = { ...spec, bias: bias?.shape };
  return (Object.keys(SCORE_GRADIENTS) as ScoreGradient[])
    .filter((name) => given[SCORE_GRADIENTS[name]] !== undefined);
}

/** Largest difference from the float64 reference, over the largest magnitude of a gradient. */
export const RELATIVE_TOLERANCE = { f32: 1e-4, f16: 6e-3 } as const;

/** A random gradient of the output of an attention. */
export function randomDO(random: Random, spec: AttentionSpec): HostTensor {
  const { batch = 1, numHeads, headDim, valueDim = headDim, seqLen = 1, layout = "BSNH" } = spec;
  return random.tensor(
    shapeOf(layout, { batch, heads: numHeads, tokens: seqLen, size: valueDim }),
  );
}

/** Runs an attention and its gradient, and reads back all gradients; `whole` are outputs that are not those of the attention. */
export async function runGradient(
  spec: AttentionSpec,
  inputs: Inputs,
  dO: HostTensor,
  whole?: { o: HostTensor; lse: HostTensor },
): Promise<Gradients> {
  using tensors = new Tensors();
  const gradient = tensors.keep(
    await AttentionGradient.create(await sharedGpu(), plannedOf(spec, inputs)),
  );
  return await runWork(spec, inputs, { dO, whole }, (given) => gradient.bind(given));
}

/** Runs what was planned, for whatever class of device, of limits no larger than this one's. */
export async function runGradientPlan(
  draw: Draw,
  dO: HostTensor,
  profile: DeviceProfile,
  change: (plan: AttentionGradientPlan) => AttentionGradientPlan = (plan) => plan,
  limits?: PlanLimits,
): Promise<Gradients> {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const { spec, inputs } = draw;
  const planned = plannedOf(spec, inputs);
  const most = limits ?? gpu.device.limits;
  const plan = change(planAttentionGradient(planned, most, profileOn(gpu, profile)));
  const owned = tensors.keep(new Owned());
  const executor = await createExecutor(gpu, owned, gradientProgram(plan, most));
  const full = { data: Array(spec.batch ?? 1).fill(spec.capacity), shape: [spec.batch ?? 1] };
  const lengths = await tensors.upload(full, "u32");
  return await runWork(spec, inputs, { dO }, (given) => {
    const entries = Object.entries(given).flatMap(([name, tensor]) =>
      tensor ? [[name, tensor.buffer] as const] : []
    );
    const buffers = { lengths: lengths.buffer, ...Object.fromEntries(entries) };
    return boundWork(executor.bind(buffers, [{ k: given.k.buffer, v: given.v.buffer }]));
  });
}

/** The specification of all gradients of an attention over these inputs. */
function plannedOf(spec: AttentionSpec, inputs: Inputs): AttentionGradientSpec {
  const shapes = { bias: inputs.bias?.shape, mask: inputs.mask?.shape };
  return { ...spec, ...shapes, gradients: scoreGradients(spec, inputs) };
}

/** Runs an attention, where its outputs are not given, and then the gradient that is bound to them. */
async function runWork(
  spec: AttentionSpec,
  inputs: Inputs,
  { dO, whole }: { dO: HostTensor; whole?: { o: HostTensor; lse: HostTensor } },
  bind: (tensors: AttentionGradientTensors) => BoundWork,
): Promise<Gradients> {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const { dtype = "f32", kvDtype = dtype } = spec;
  const { gradients: asked = [], ...planned } = plannedOf(spec, inputs);
  const attention = tensors.keep(
    await Attention.create(gpu, { ...planned, impl: "auto", outputs: ["lse"] }),
  );
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
  const perHead = [spec.numHeads];
  const others = asked.map(async (name) =>
    [
      name,
      name === "dBias"
        ? await tensors.poisoned(inputs.bias!.shape, dtype)
        : await tensors.poisoned(perHead),
    ] as const
  );
  const gradients = {
    ...Object.fromEntries(await Promise.all(others)) as Partial<Record<ScoreGradient, Tensor>>,
    dq: await tensors.poisoned(inputs.q.shape, dtype),
    dk: await tensors.poisoned(inputs.k.shape, kvDtype as Dtype),
    dv: await tensors.poisoned(inputs.v.shape, kvDtype as Dtype),
  };
  const uploaded = await tensors.upload(dO, dtype);
  await submit((encoder) => {
    if (!whole) attention.encode(encoder, { ...read, ...outputs });
    bind({ ...read, ...outputs, dO: uploaded, ...gradients }).encode(encoder);
  });
  const downloads = Object.entries(gradients).map(async ([name, tensor]) =>
    [name, await tensor.download()] as const
  );
  return Object.fromEntries(await Promise.all(downloads)) as unknown as Gradients;
}

/** Checks all gradients of a draw against the float64 reference. */
export async function checkGradient(draw: Draw, dO: HostTensor): Promise<void> {
  assertGradients(await runGradient(draw.spec, draw.inputs, dO), draw, dO);
}

/** Every gradient is as close to the float64 reference as its type allows. */
export function assertGradients(actual: Gradients, draw: Draw, dO: HostTensor): void {
  const { spec, inputs } = draw;
  const { dtype = "f32", kvDtype = dtype, layout = "BSNH", kvLayout = layout } = spec;
  const expected = referenceGradient(referenceOf(draw)[0], dO, referenceOf(draw)[1]);
  const tolerance = RELATIVE_TOLERANCE[dtype === "f16" || kvDtype === "f16" ? "f16" : "f32"];
  const inLayout = (name: "dk" | "dv") => {
    const own = { data: actual[name], shape: inputs[name === "dk" ? "k" : "v"].shape };
    return layout === kvLayout ? own.data : swapLayout(own).data;
  };
  assertRelative(actual.dq, expected.dq, tolerance, "dq");
  assertRelative(inLayout("dk"), expected.dk, tolerance, "dk");
  assertRelative(inLayout("dv"), expected.dv, tolerance, "dv");
  for (const name of scoreGradients(spec, inputs)) {
    assertRelative(actual[name]!, expected[name]!, tolerance, name);
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
