import { checkGiven, checkInteger, checkObjects, sentence } from "../base/check.ts";
import { rowShape, shapeIn } from "../tensor/layout.ts";
import { sizesOf } from "../plan/sizes.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { modTensorsOf } from "../score/score_mod.ts";
import type { ScoreSpec } from "../score/score_spec.ts";
import { type AttentionPlan, planAttention } from "../plan/plan.ts";
import type { AttentionSpec, FilledSpec } from "../plan/spec.ts";
import { prepareAttention } from "./prepare.ts";
import type { AttentionOutput } from "../plan/outputs.ts";
import type { Dtype, ElementType, KvDtype } from "../tensor/dtype.ts";
import { type HostFloats, type HostMask, type HostTensor, Tensor } from "../tensor/tensor.ts";

const ACTION = "attend";

/** Options of {@linkcode attend}; `Outputs` is the list that `outputs` gives. */
export type AttendOptions<
  Outputs extends readonly AttentionOutput[] = readonly AttentionOutput[],
> =
  & Omit<ScoreSpec, "bias" | "mask">
  & Pick<
    AttentionSpec,
    | "sinks"
    | "dtype"
    | "kvDtype"
    | "arithmetic"
    | "layout"
    | "maxScratchBytes"
    | "impl"
    | "tuning"
  >
  & {
    /** The outputs to return beside o, as {@linkcode AttentionSpec.outputs} says. The default is none. */
    outputs?: Outputs;
  };

/** Queries, keys and values, all on the host or all on the device. */
export interface AttendInputs<Kind extends HostTensor | Tensor> {
  /** Queries [B, S, N, H] (or [B, N, S, H] in layout `"BNSH"`): the last S tokens, or those that `alignment` says. */
  q: Kind;
  /** Keys [B, C, numKvHeads, H] (or [B, numKvHeads, C, H]). */
  k: Kind;
  /** Values [B, C, numKvHeads, valueDim] (or [B, numKvHeads, C, valueDim]). */
  v: Kind;
  /** Keys that each sequence has, from its first [B]; on the device `"u32"`. The default is all C. */
  lengths?: Kind;
  /** Numbers that are added to the scores [B, N, S, K], or as {@linkcode ScoreSpec.bias} says. The default is none. */
  bias?: Kind;
  /** The mask [B, N, S, K], or as {@linkcode ScoreSpec.mask} says; on the device `"bool"`. The default is none. */
  mask?: Kind extends Tensor ? Tensor : HostMask;
  /** The tensors that `scoreMod` and `maskMod` read, by their names. The default is none. */
  modTensors?: Readonly<Record<string, Kind extends Tensor ? Tensor : HostTensor | HostMask>>;
}

/**
 * The result of {@linkcode attend}, of the kind that came in: the output [B, S, N, valueDim] (or [B, N, S, valueDim]) and
 * those that `outputs` names: `lse` [B, S, N] (or [B, N, S]), the other ones [B, N, S, C], about -3.4e38 where masked. An output
 * that is written in the call's own list is there by its type; of a list of another type, any may be missing.
 */
export type AttendResult<
  Kind extends HostTensor | Tensor,
  Outputs extends readonly AttentionOutput[] = readonly AttentionOutput[],
> =
  & { o: Kind }
  & Partial<Record<AttentionOutput, Kind>>
  & NamedOutputs<Outputs, Kind>;

/** A `Kind` for each output in a list of known length; where an output or the list is one of several, one of the results. */
export type NamedOutputs<Outputs extends readonly AttentionOutput[], Kind> = Outputs extends
  readonly [
    infer Output extends AttentionOutput,
    ...infer Others extends readonly AttentionOutput[],
  ] ? (Output extends unknown ? Record<Output, Kind> : never) & NamedOutputs<Others, Kind>
  : unknown;

/**
 * Attention in one call: plans, compiles, runs and, for tensors of the host, reads back.
 *
 * For loops use {@linkcode Attention} (and `RingKvCache`), which plan once and wait for nothing; it names its sources.
 *
 * @param gpu Where to run.
 * @param inputs Queries, keys and values, and what masks them.
 * @param options What a query sees, element type, layout and what to return besides the output. `dtype` and `kvDtype` are for
 * tensors of the host; those of the device have their own.
 * @returns Output and what was asked for: arrays for arrays, tensors for tensors. The caller destroys tensors.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If shapes do not agree, heads do not divide, or a limit of the device is exceeded.
 * @throws {WgslError} If `scoreMod` or `maskMod` does not compile.
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
 * console.log(o.shape, weights.shape); // [1, 10, 4, 16] [1, 4, 10, 10]
 * gpu.destroy();
 * ```
 */
export function attend<const Outputs extends readonly AttentionOutput[] = readonly []>(
  gpu: Gpu,
  inputs: AttendInputs<Tensor>,
  options?: AttendOptions<Outputs>,
): Promise<AttendResult<Tensor, Outputs>>;
/**
 * Attention in one call, from arrays to arrays.
 *
 * @param gpu Where to run.
 * @param inputs Queries, keys and values, and what masks them, each as an array with its shape.
 * @param options What a query sees, element type, layout and what to return besides the output.
 * @returns Output and what was asked for, in f32.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If shapes do not agree, heads do not divide, or a limit of the device is exceeded.
 * @throws {WgslError} If `scoreMod` or `maskMod` does not compile.
 * @throws {GpuWorkError} If the GPU refused some work.
 * @throws {DeviceLostError} If the device is lost.
 */
export function attend<const Outputs extends readonly AttentionOutput[] = readonly []>(
  gpu: Gpu,
  inputs: AttendInputs<HostTensor>,
  options?: AttendOptions<Outputs>,
): Promise<AttendResult<HostFloats, Outputs>>;
export async function attend(
  gpu: Gpu,
  inputs: AttendInputs<Tensor> | AttendInputs<HostTensor>,
  options: AttendOptions = {},
): Promise<AttendResult<Tensor> | AttendResult<HostFloats>> {
  checkGpu(ACTION, gpu);
  checkObjects(ACTION, { inputs, options });
  const { lengths, bias, mask, modTensors } = inputs;
  checkGiven(ACTION, { lengths, bias, mask, modTensors });
  const spec = specOf(inputs, options);
  // Planning copies and checks all of it: callers may change their options while the device works.
  const plan = planAttention(spec, gpu.device.limits, gpu.profile);
  return isOnDevice(inputs)
    ? await attendOnDevice(gpu, { ...inputs }, plan)
    : await attendFromHost(gpu, inputs, plan);
}

function isOnDevice(
  inputs: AttendInputs<Tensor> | AttendInputs<HostTensor>,
): inputs is AttendInputs<Tensor> {
  return inputs.q instanceof Tensor;
}

/** The specification of an attention over these inputs. */
function specOf(
  inputs: AttendInputs<Tensor> | AttendInputs<HostTensor>,
  options: AttendOptions,
): AttentionSpec {
  const { contextLen, ...sizes } = sizesOf(inputs, options.layout);
  // Planning refuses what attention cannot read.
  const dtypes = isOnDevice(inputs)
    ? { dtype: inputs.q.dtype as Dtype, kvDtype: inputs.k.dtype as KvDtype }
    : {};
  const shapes = { bias: inputs.bias?.shape, mask: inputs.mask?.shape };
  return { ...sizes, capacity: contextLen, ...options, ...dtypes, ...shapes };
}

async function attendOnDevice(
  gpu: Gpu,
  inputs: AttendInputs<Tensor>,
  plan: AttentionPlan,
): Promise<AttendResult<Tensor>> {
  const { layout, dtype, outputs, batch, numHeads, seqLen, valueDim } = plan.spec;
  return await Owned.use(async (scratch) => {
    const attention = await prepareAttention(gpu, scratch, plan);
    return await Owned.make(async (owned) => {
      const empty = async (shape: number[], options: { dtype?: "f32" | "f16"; label: string }) =>
        owned.keep(await Tensor.empty(gpu, shape, options));
      const shape = shapeIn(layout, batch, numHeads, seqLen, valueDim);
      const result: AttendResult<Tensor> = { o: await empty(shape, { dtype, label: "o" }) };
      for (const label of outputs) {
        const shape = label === "lse"
          ? rowShape(layout, batch, numHeads, seqLen)
          : [batch, numHeads, seqLen, plan.contextLen];
        result[label] = await empty(shape, { label });
      }
      await gpu.guard(ACTION, () => {
        const encoder = gpu.device.createCommandEncoder();
        attention.bind({ ...inputs, ...result }).encode(encoder);
        gpu.device.queue.submit([encoder.finish()]);
      });
      return result;
    });
  });
}

async function attendFromHost(
  gpu: Gpu,
  inputs: AttendInputs<HostTensor>,
  plan: AttentionPlan,
): Promise<AttendResult<HostFloats>> {
  const { dtype, kvDtype } = plan.spec;
  const lengths = inputs.lengths && copyLengths(inputs.lengths, plan.spec);
  const ofMods = Object.entries(modTensorsOf(plan.spec));
  return await Owned.use(async (owned) => {
    const upload = async <Source extends HostTensor | HostMask | undefined>(
      label: string,
      source: Source,
      dtype: ElementType,
    ) => source && owned.keep(await Tensor.upload(gpu, source, { dtype, label }));
    // All at once, so that every array is read before the caller goes on.
    const [q, k, v, ofLengths, bias, mask, ...uploaded] = await Promise.all([
      upload("q", inputs.q, dtype),
      upload("k", inputs.k, kvDtype),
      upload("v", inputs.v, kvDtype),
      upload("lengths", lengths, "u32"),
      upload("bias", inputs.bias, dtype),
      upload("mask", inputs.mask, "bool"),
      ...ofMods.map(([name, { dtype }]) => upload(name, inputs.modTensors?.[name], dtype)),
    ]);
    const modTensors = Object.fromEntries(ofMods.map(([name], i) => [name, uploaded[i]!]));
    const tensors = { q: q!, k: k!, v: v!, lengths: ofLengths, bias, mask, modTensors };
    const result = await attendOnDevice(gpu, tensors, plan);
    const entries = Object.entries(result).map(async ([name, tensor]) =>
      [name, { data: await owned.keep(tensor).download(), shape: tensor.shape }] as const
    );
    return Object.fromEntries(await Promise.all(entries)) as unknown as AttendResult<HostFloats>;
  });
}

function copyLengths(
  lengths: HostTensor,
  { batch, capacity: contextLen }: FilledSpec,
): HostTensor {
  const { shape, data: given } = lengths;
  if (shape?.length !== 1 || shape[0] !== batch || given?.length !== batch) {
    throw new RangeError(
      sentence(ACTION, "lengths must have shape [batch], and as many elements", {
        shape,
        batch,
        elements: given?.length,
      }),
    );
  }
  const data = Array.from({ length: batch }, (_, sequence) => given[sequence]);
  data.forEach((length, sequence) => {
    checkInteger(ACTION, `lengths[${sequence}]`, length, 0);
    if (length <= contextLen) return;
    throw new RangeError(
      sentence(ACTION, "a sequence has no more keys than k", {
        [`lengths[${sequence}]`]: length,
        contextLen,
      }),
    );
  });
  return { data, shape: [batch] };
}
