import {
  Attention,
  type AttentionOutput,
  type AttentionSpec,
  BlockMask,
  type Dtype,
  type ElementType,
  type FusedPlan,
  type GradientInputs,
  type HostMask,
  type HostTensor,
  type KvDtype,
  type KvView,
  type Layout,
  type Mods,
  type StagedPlan,
  Tensor,
} from "../../mod.ts";
import { attentionProgram } from "../../src/attend/attention_program.ts";
import { createExecutor } from "../../src/attend/executor.ts";
import { modTensorsOf } from "../../src/score/score_mod.ts";
import { dequantize, quantize } from "../../src/tensor/quantized.ts";
import { inPass } from "../../src/gpu/bound_work.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { USAGE } from "../../src/gpu/usage.ts";
import { sharedGpu } from "./gpu.ts";
import type { HostModTensors } from "./mods.ts";
import type { Random } from "./random.ts";

/** Host arrays of an attention over contiguous K and V, with functions of scores in JavaScript. */
export type Inputs = GradientInputs & { modTensors?: HostModTensors };

/** What an attention wrote. */
export type Outputs =
  & { o: Float32Array }
  & Partial<Record<AttentionOutput, Float32Array>>;

/** [B, S, N, H] or [B, N, S, H]. */
export function shapeOf(
  layout: Layout,
  { batch, heads, tokens, size }: Record<"batch" | "heads" | "tokens" | "size", number>,
): number[] {
  return layout === "BSNH" ? [batch, tokens, heads, size] : [batch, heads, tokens, size];
}

/** Random q, k and v of an attention; what `dtype` cannot hold is rounded, for kernel and reference alike. */
export function randomInputs(random: Random, spec: AttentionSpec): Inputs {
  const { batch = 1, numHeads, numKvHeads = numHeads, headDim, valueDim = headDim } = spec;
  const { seqLen = 1, capacity, layout = "BSNH", kvLayout = layout } = spec;
  const { dtype = "f32", kvDtype = dtype } = spec;
  const tensor = (layout: Layout, heads: number, tokens: number, size: number) =>
    random.tensor(shapeOf(layout, { batch, heads, tokens, size }));
  const k = rounded(tensor(kvLayout, numKvHeads, capacity, headDim), kvDtype);
  return {
    q: rounded(tensor(layout, numHeads, seqLen, headDim), dtype),
    k,
    v: spec.valuesAre === "keys"
      ? firstOfKeys(k, valueDim)
      : rounded(tensor(kvLayout, numKvHeads, capacity, valueDim), kvDtype),
  };
}

/** The values of keys that begin with them. */
export function firstOfKeys({ data, shape }: HostTensor, valueDim: number): HostTensor {
  const headDim = shape.at(-1)!;
  const rows = data.length / headDim;
  return {
    data: Float32Array.from(
      { length: rows * valueDim },
      (_, i) => data[Math.floor(i / valueDim) * headDim + i % valueDim],
    ),
    shape: shape.with(-1, valueDim),
  };
}

/** The numbers that a tensor of `dtype` holds after an upload. */
export function rounded(tensor: HostTensor, dtype: KvDtype): HostTensor {
  if (dtype === "f32") return tensor;
  if (dtype !== "f16") {
    const { data, shape } = tensor;
    const elements = shape.at(-1)!;
    return { data: dequantize(quantize(data, elements, dtype), elements, dtype), shape };
  }
  return { data: Float32Array.from(tensor.data, Math.f16round), shape: tensor.shape };
}

/** [B, S, N, H] <-> [B, N, S, H]. */
export function swapLayout({ data, shape }: HostTensor): HostTensor & { data: Float32Array } {
  const [batch, outer, inner, size] = shape;
  const swapped = new Float32Array(data.length);
  for (let row = 0; row < batch * outer * inner; row++) {
    const [b, x, y] = [
      Math.floor(row / (outer * inner)),
      Math.floor(row / inner) % outer,
      row % inner,
    ];
    const target = (b * inner + y) * outer + x;
    for (let h = 0; h < size; h++) swapped[target * size + h] = data[row * size + h];
  }
  return { data: swapped, shape: [batch, inner, outer, size] };
}

/** The prefix, then the suffix, of every sequence; all BSNH. */
export function concatenate(prefix: HostTensor, suffix: HostTensor): HostTensor {
  const [batch, tokens, heads, size] = suffix.shape;
  const row = tokens * heads * size;
  const data = Array.from({ length: batch }, (_, b) => [
    ...Array.from(prefix.data),
    ...Array.prototype.slice.call(suffix.data, b * row, (b + 1) * row),
  ]).flat();
  return { data, shape: [batch, prefix.shape[1] + tokens, heads, size] };
}

/** Tensors that are destroyed when the scope is left. */
export class Tensors {
  readonly #made: { destroy(): void }[] = [];

  /** Uploads to the shared GPU. */
  async upload(source: HostTensor | HostMask, dtype?: ElementType): Promise<Tensor> {
    return this.keep(await Tensor.upload(await sharedGpu(), source, { dtype }));
  }

  /** Uploads f32 to a buffer of a caller's who knows of no usage but storage. */
  async stored({ data, shape }: HostTensor): Promise<Tensor> {
    const gpu = await sharedGpu();
    const usage = USAGE.storage | USAGE.copyDst;
    const buffer = gpu.device.createBuffer({ size: 4 * data.length, usage });
    gpu.device.queue.writeBuffer(buffer, 0, Float32Array.from(data));
    return this.keep(Tensor.wrap(gpu, buffer, shape));
  }

  /** Uploads the tensors of functions of scores. */
  async uploadAll(
    mods: Mods,
    sources: HostModTensors | undefined,
  ): Promise<Record<string, Tensor>> {
    const uploaded: Record<string, Tensor> = {};
    for (const [name, { dtype }] of Object.entries(modTensorsOf(mods))) {
      uploaded[name] = await this.upload(sources![name], dtype);
    }
    return uploaded;
  }

  /** A tensor of NaN, for what a kernel is to write: an element that it forgets fails every comparison. */
  poisoned(shape: readonly number[], dtype?: Dtype): Promise<Tensor> {
    const length = shape.reduce((product, size) => product * size, 1);
    return this.upload({ data: new Float32Array(length).fill(NaN), shape }, dtype);
  }

  /** A tensor of NaN at the head of a longer buffer of NaN, and what lies behind it in the end. */
  async poisonedWithin(
    shape: readonly number[],
  ): Promise<{ tensor: Tensor; behind: () => Promise<Float32Array> }> {
    const length = shape.reduce((product, size) => product * size, 1);
    const whole = await this.poisoned([2 * length]);
    return {
      tensor: Tensor.wrap(await sharedGpu(), whole.buffer, shape),
      behind: async () => (await whole.download()).subarray(length),
    };
  }

  /** Destroys it with the others. */
  keep<Kind extends { destroy(): void }>(made: Kind): Kind {
    this.#made.push(made);
    return made;
  }

  [Symbol.dispose](): void {
    for (const made of this.#made) made.destroy();
  }
}

/** Encodes into an encoder and submits it. */
export async function submit(encode: (encoder: GPUCommandEncoder) => void): Promise<void> {
  const { device } = await sharedGpu();
  const encoder = device.createCommandEncoder();
  encode(encoder);
  device.queue.submit([encoder.finish()]);
}

/**
 * Runs an attention over contiguous K and V or over a cache, and reads back what it wrote. The blocks of its mask, where it has
 * some, are computed before, with tensors that may be others.
 */
export async function runAttention(
  spec: AttentionSpec,
  inputs: Inputs | (Omit<Inputs, "k" | "v" | "lengths"> & { cache: KvView }),
  blockTensors = inputs.modTensors,
): Promise<Outputs> {
  using tensors = new Tensors();
  const { bias, mask } = inputs;
  const shapes = { bias: bias?.shape, mask: mask?.shape };
  const attention = tensors.keep(
    await Attention.create(await sharedGpu(), { ...spec, ...shapes }),
  );
  const { batch, numHeads, seqLen, valueDim, layout, outputs } = attention.plan.spec;
  const { dtype, kvDtype, valuesAre } = attention.plan.spec;
  const oShape = shapeOf(layout, { batch, heads: numHeads, tokens: seqLen, size: valueDim });
  const written: { o: Tensor } & Partial<Record<AttentionOutput, Tensor>> = {
    o: await tensors.poisoned(oShape, dtype),
  };
  for (const name of outputs) {
    const matrix = [batch, numHeads, seqLen, attention.plan.contextLen];
    written[name] = await tensors.poisoned(name === "lse" ? oShape.slice(0, -1) : matrix);
  }
  const upload = async (source: HostTensor | HostMask | undefined, type: ElementType = dtype) =>
    source && await tensors.upload(source, type);
  const read = {
    modTensors: await tensors.uploadAll(attention.plan.spec, inputs.modTensors),
    q: (await upload(inputs.q))!,
    bias: await upload(bias),
    mask: await upload(mask, "bool"),
    ...("cache" in inputs ? { cache: inputs.cache } : {
      k: (await upload(inputs.k, kvDtype))!,
      v: valuesAre === "keys" ? undefined : await upload(inputs.v, kvDtype),
      lengths: await upload(inputs.lengths, "u32"),
    }),
  };
  const blockMask = attention.plan.spec.blockMask
    ? tensors.keep(await BlockMask.create(attention.gpu, { ...spec, ...shapes }))
    : undefined;
  const ofBlocks = blockMask && await tensors.uploadAll(blockMask.plan.spec, blockTensors);
  await submit((encoder) => {
    blockMask?.encode(encoder, {
      ...("cache" in read ? { cache: read.cache } : { lengths: read.lengths }),
      modTensors: ofBlocks,
    });
    attention.encode(encoder, { ...read, ...written, blockMask });
  });
  const downloads = Object.entries(written).map(async ([name, tensor]) =>
    [name, await tensor.download()] as const
  );
  return Object.fromEntries(await Promise.all(downloads)) as unknown as Outputs;
}

/** Runs what was planned, for whatever class of device, over contiguous K and V, and reads back the output. */
export async function runPlan(
  plan: FusedPlan | StagedPlan,
  { q, k, v }: Inputs,
): Promise<Float32Array> {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const { batch, numHeads, seqLen, valueDim, layout, capacity, dtype, kvDtype } = plan.spec;
  const { valuesAre } = plan.spec;
  const owned = tensors.keep(new Owned());
  const executor = await createExecutor(gpu, owned, attentionProgram(plan));
  const o = await tensors.poisoned(
    shapeOf(layout, { batch, heads: numHeads, tokens: seqLen, size: valueDim }),
    dtype,
  );
  const lengths = await tensors.upload(
    { data: Array(batch).fill(capacity), shape: [batch] },
    "u32",
  );
  const queries = await tensors.upload(q, dtype);
  const keys = await tensors.upload(k, kvDtype);
  const values = valuesAre === "keys" ? {} : { v: (await tensors.upload(v, kvDtype)).buffer };
  const buffers = { lengths: lengths.buffer, q: queries.buffer, o: o.buffer };
  const kv = [{ k: keys.buffer, ...values }];
  await submit((encoder) =>
    inPass(encoder, (pass) => {
      for (const dispatch of executor.bind(buffers, kv)) dispatch.encode(pass);
    })
  );
  return await o.download();
}
