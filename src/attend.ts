import { shapeIn, sizesOf } from "./_sizes.ts";
import { Attention } from "./attention.ts";
import type { Gpu } from "./device.ts";
import type { AttentionOutput, AttentionSpec } from "./spec.ts";
import { type Dtype, type HostTensor, type KvDtype, Tensor } from "./tensor.ts";

/** Options of {@linkcode attend}. */
export type AttendOptions = Pick<
  AttentionSpec,
  | "causal"
  | "window"
  | "sinks"
  | "scale"
  | "dtype"
  | "kvDtype"
  | "layout"
  | "outputs"
  | "maxScratchBytes"
  | "impl"
  | "tuning"
>;

/** Queries, keys and values, all on the host or all on the device. */
export interface AttendInputs<Kind extends HostTensor | Tensor> {
  /** Queries [B, S, N, H] (or [B, N, S, H] in layout `"BNSH"`): the last S tokens of the context. */
  q: Kind;
  /** Keys [B, C, numKvHeads, H] (or [B, numKvHeads, C, H]). */
  k: Kind;
  /** Values [B, C, numKvHeads, valueDim] (or [B, numKvHeads, C, valueDim]). */
  v: Kind;
}

/** What {@linkcode attend} returns, of the kind that came in. */
export interface AttendResult<Kind extends HostTensor | Tensor> {
  /** Output [B, S, N, valueDim] (or [B, N, S, valueDim]). */
  o: Kind;
  /** Scaled scores [B, N, S, C], about -3.4e38 where masked; if asked for. */
  scores?: Kind;
  /** Softmax of the scores [B, N, S, C]; if asked for. */
  weights?: Kind;
}

/** A tensor on the host whose elements are f32. */
export interface HostFloats extends HostTensor {
  /** The elements, as many as the product of `shape`. */
  data: Float32Array;
}

/**
 * Attention in one call: plans, compiles, runs and, for tensors of the host, reads back.
 *
 * For loops use {@linkcode Attention} (and `RingKvCache`), which plan once and wait for nothing.
 *
 * @param gpu Where to run.
 * @param inputs Queries, keys and values.
 * @param options Mask, scale, element type, layout and what to return besides the output. `dtype` and
 * `kvDtype` are for tensors of the host; those of the device have their own.
 * @returns Output and what was asked for: arrays for arrays, tensors for tensors. The caller destroys tensors.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If shapes do not agree, heads do not divide, or a limit of the device is exceeded.
 * @throws {GpuWorkError} If the GPU refused some work.
 * @throws {DeviceLostError} If the device is lost.
 *
 * @example Four query heads that share one key/value head
 * ```ts
 * import { attend, Gpu } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const random = (...shape: number[]) => ({
 *   data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random),
 *   shape,
 * });
 * const { o, weights } = await attend(gpu, {
 *   q: random(1, 10, 4, 16), // [batch, tokens, heads, head size]
 *   k: random(1, 10, 1, 16),
 *   v: random(1, 10, 1, 16),
 * }, { outputs: ["weights"] });
 * console.log(o.shape, weights?.shape); // [1, 10, 4, 16] [1, 4, 10, 10]
 * gpu.destroy();
 * ```
 */
export function attend(
  gpu: Gpu,
  inputs: AttendInputs<Tensor>,
  options?: AttendOptions,
): Promise<AttendResult<Tensor>>;
/** Attention in one call, from arrays to arrays. */
export function attend(
  gpu: Gpu,
  inputs: AttendInputs<HostTensor>,
  options?: AttendOptions,
): Promise<AttendResult<HostFloats>>;
export async function attend(
  gpu: Gpu,
  inputs: AttendInputs<Tensor> | AttendInputs<HostTensor>,
  options: AttendOptions = {},
): Promise<AttendResult<Tensor> | AttendResult<HostFloats>> {
  return isOnDevice(inputs)
    ? await attendOnDevice(gpu, inputs, { ...options, ...dtypesOf(inputs) })
    : await attendFromHost(gpu, inputs, options);
}

function isOnDevice(
  inputs: AttendInputs<Tensor> | AttendInputs<HostTensor>,
): inputs is AttendInputs<Tensor> {
  return inputs.q instanceof Tensor;
}

/** What the tensors hold; planning refuses queries of integers. */
function dtypesOf({ q, k }: AttendInputs<Tensor>): Pick<AttentionSpec, "dtype" | "kvDtype"> {
  return { dtype: q.dtype as Dtype, kvDtype: k.dtype };
}

async function attendOnDevice(
  gpu: Gpu,
  inputs: AttendInputs<Tensor>,
  options: AttendOptions,
): Promise<AttendResult<Tensor>> {
  const { layout = "BSNH", dtype = "f32", outputs = [] } = options;
  const { contextLen, ...sizes } = sizesOf(inputs, layout);
  const { batch, numHeads, seqLen, valueDim } = sizes;
  const attention = await Attention.create(gpu, { ...sizes, capacity: contextLen, ...options });
  const made: Tensor[] = [];
  const empty = async (shape: number[], options: { dtype?: "f32" | "f16"; label: string }) => {
    made.push(await Tensor.empty(gpu, shape, options));
    return made.at(-1)!;
  };
  try {
    const shape = shapeIn(layout, batch, numHeads, seqLen, valueDim);
    const result: AttendResult<Tensor> = { o: await empty(shape, { dtype, label: "o" }) };
    for (const label of ["scores", "weights"] satisfies AttentionOutput[]) {
      if (!outputs.includes(label)) continue;
      const shape = [batch, numHeads, seqLen, attention.plan.contextLen];
      result[label] = await empty(shape, { label });
    }
    await gpu.guard("attend", () => {
      const encoder = gpu.device.createCommandEncoder();
      attention.encode(encoder, { ...inputs, ...result });
      gpu.device.queue.submit([encoder.finish()]);
    });
    return result;
  } catch (error) {
    for (const tensor of made) tensor.destroy();
    throw error;
  } finally {
    attention.destroy();
  }
}

async function attendFromHost(
  gpu: Gpu,
  inputs: AttendInputs<HostTensor>,
  options: AttendOptions,
): Promise<AttendResult<HostFloats>> {
  const { dtype = "f32", kvDtype = dtype, layout } = options;
  sizesOf(inputs, layout);
  const made: Tensor[] = [];
  const upload = async (label: "q" | "k" | "v", dtype: KvDtype) => {
    made.push(await Tensor.upload(gpu, inputs[label], { dtype, label }));
    return made.at(-1)!;
  };
  try {
    const uploaded = {
      q: await upload("q", dtype),
      k: await upload("k", kvDtype),
      v: await upload("v", kvDtype),
    };
    const result = await attendOnDevice(gpu, uploaded, { ...options, dtype, kvDtype });
    made.push(...Object.values(result));
    const entries = Object.entries(result).map(async ([name, tensor]) =>
      [name, { data: await tensor.download(), shape: tensor.shape }] as const
    );
    return Object.fromEntries(await Promise.all(entries)) as unknown as AttendResult<HostFloats>;
  } finally {
    for (const tensor of made) tensor.destroy();
  }
}
