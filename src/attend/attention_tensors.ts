/** The tensors of an attention, and what they must be. */
import { type ContiguousKv, viewContiguous } from "../cache/contiguous_kv.ts";
import type { KvView } from "../cache/kv_view.ts";
import { newShape } from "../cache/new_tokens.ts";
import { sentence } from "../base/check.ts";
import { tensorsOf } from "../cache/kv_memory.ts";
import { checkApart } from "../gpu/apart.ts";
import type { Gpu } from "../gpu/device.ts";
import type { AttentionPlan } from "../plan/plan.ts";
import type { FilledSpec } from "../plan/spec.ts";
import { type AttentionOutput, OUTPUTS } from "../plan/outputs.ts";
import { checkModTensors } from "../score/mod_tensors.ts";
import type { ElementType } from "../tensor/dtype.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { type BlockMask, checkBlockMask } from "./block_mask.ts";

/** Keys and values of a cache, all the tokens it has when the work runs. */
export interface CachedKv {
  /** A cache of the shape that the attention was created for, such as a `RingKvCache`. */
  cache: KvView;
  /** Not beside `cache`. */
  k?: undefined;
  /** Not beside `cache`. */
  v?: undefined;
  /** Not beside `cache`, which has its own. */
  lengths?: undefined;
}

/**
 * The tensors of {@linkcode Attention.encode}; all of them are the caller's. The outputs that `outputs` asks for are
 * written beside o, each in f32: `lse` [B, S, N] (or [B, N, S]), about -3.4e38 for a row that sees nothing, and the others
 * [B, N, S, contextLen], about -3.4e38 where masked; over tokens that lie end to end [tokens, N] and
 * [N, tokens, contextLen]. Rows without a token are not written.
 */
export type AttentionTensors =
  & ((ContiguousKv & { cache?: undefined }) | CachedKv)
  & {
    /** Queries [B, S, N, headDim] (or [B, N, S, headDim]), or end to end [tokens, N, headDim]. */
    q: Tensor;
    /** Output [B, S, N, valueDim] (or [B, N, S, valueDim]), or [tokens, N, valueDim], written. */
    o: Tensor;
    /** Numbers that are added to the scores, in the planned shape and the element type of q. */
    bias?: Tensor;
    /** The mask, in the planned shape, `"bool"`: a query sees the keys whose element is true. */
    mask?: Tensor;
    /** The tensors that `scoreMod` and `maskMod` read, by their names, each in the planned shape and element type. */
    modTensors?: Readonly<Record<string, Tensor>>;
    /** The blocks of `maskMod`, which were computed for the lengths and tensors of this attention, where they are planned. */
    blockMask?: BlockMask;
  }
  & Partial<Record<AttentionOutput, Tensor>>;

/**
 * Views keys and values; throws unless every tensor is what was planned, and nothing is read and written at once.
 * `fullLengths` stands in for lengths that are not given.
 */
export function viewTensors(
  action: string,
  gpu: Gpu,
  plan: AttentionPlan,
  tensors: AttentionTensors,
  fullLengths: GPUBuffer,
): KvView {
  const { numHeads, headDim, valueDim, dtype, outputs } = plan.spec;
  const rows = plan.spec.queries;
  const check = (
    name: string,
    tensor: Tensor | undefined,
    shape: readonly number[],
    type: ElementType = dtype,
  ) => checkTensor(action, name, tensor!, { gpu, shape, dtype: type });
  check("q", tensors.q, newShape(rows, plan.spec, numHeads, headDim));
  const view = tensors.cache === undefined
    ? viewContiguous(action, gpu, plan.spec, tensors, fullLengths)
    : checkedView(action, gpu, tensors.cache, plan.spec);
  check("o", tensors.o, newShape(rows, plan.spec, numHeads, valueDim));
  for (const name of ["bias", "mask"] as const) {
    const shape = plan.spec[name];
    if (shape) check(name, tensors[name], shape, name === "mask" ? "bool" : dtype);
    else checkAbsent(action, name, tensors[name], `planned (give its shape)`, { [name]: shape });
  }
  const modTensors = checkModTensors(action, gpu, plan.spec, tensors.modTensors);
  const { batch, seqLen, tokens } = plan.spec;
  const rowNumbers = tokens === undefined ? [batch, numHeads, seqLen] : [numHeads, tokens];
  for (const output of OUTPUTS) {
    if (!outputs.includes(output)) {
      checkAbsent(action, output, tensors[output], "asked for", { outputs });
      continue;
    }
    const shape = output === "lse"
      ? newShape(rows, plan.spec, numHeads, 1).slice(0, -1)
      : [...rowNumbers, plan.contextLen];
    check(output, tensors[output], shape, "f32");
  }
  checkBlockMask(action, gpu, plan, tensors.blockMask);
  const { q, bias, mask } = tensors;
  const kv = tensorsOf(view.parts);
  const read = [...buffersOf([q, ...kv, bias, mask, ...modTensors]), view.lengthsBuffer];
  const written = buffersOf([tensors.o, ...OUTPUTS.map((output) => tensors[output])]);
  const named = { outputs: ["o", ...outputs] };
  checkApart(action, "every output must have a buffer of its own", { written, read }, named);
  return view;
}

function buffersOf(tensors: readonly (Tensor | undefined)[]): GPUBuffer[] {
  return tensors.flatMap((tensor) => tensor ? [tensor.buffer] : []);
}

function checkAbsent(
  action: string,
  name: string,
  tensor: Tensor | undefined,
  what: string,
  values: Record<string, unknown>,
): void {
  if (!tensor) return;
  throw new TypeError(
    sentence(action, `${name} must be ${what} when the attention is created`, values),
  );
}

/** The cache, if it is on the device, and of the shapes that were planned. */
function checkedView(action: string, gpu: Gpu, cache: KvView, spec: FilledSpec): KvView {
  if (!cache?.gpu || !cache.spec || !Array.isArray(cache.parts)) {
    throw new TypeError(
      sentence(action, "cache must be a view of keys and values, such as a RingKvCache", { cache }),
    );
  }
  if (cache.gpu.device !== gpu.device) {
    throw new TypeError(
      sentence(action, "the cache must live on the same device", {
        cache: cache.gpu.description.description,
        device: gpu.description.description,
      }),
    );
  }
  const checkSame = (
    kind: typeof TypeError | typeof RangeError,
    name: Exclude<keyof KvView["spec"], "pages">,
  ) => {
    if (spec[name] === cache.spec[name]) return;
    throw new kind(
      sentence(action, `the cache must have the planned ${name} (spread cache.spec)`, {
        [name]: spec[name],
        [`cache.spec.${name}`]: cache.spec[name],
      }),
    );
  };
  const [own, other] = [spec.pages, cache.spec.pages];
  if (own?.size !== other?.size || own?.count !== other?.count) {
    throw new RangeError(
      sentence(action, "the cache must have the planned pages (spread cache.spec)", {
        pages: own,
        "cache.spec.pages": other,
      }),
    );
  }
  for (
    const name of [
      ...["kvLayout", "dtype", "kvDtype", "valuesAre", "kvCalibrated", "kvRotation"] as const,
    ]
  ) {
    checkSame(TypeError, name);
  }
  for (
    const name of ["batch", "numKvHeads", "capacity", "headDim", "valueDim", "sinks"] as const
  ) {
    checkSame(RangeError, name);
  }
  return cache;
}
