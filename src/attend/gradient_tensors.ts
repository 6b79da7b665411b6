/** The tensors of a gradient, and what they must be. */
import { sentence } from "../base/check.ts";
import { viewContiguous } from "../cache/contiguous_kv.ts";
import { checkApart } from "../gpu/apart.ts";
import type { Gpu } from "../gpu/device.ts";
import type { AttentionGradientPlan } from "../plan/backward.ts";
import { modBuffers } from "../score/mod_pieces.ts";
import type { ElementType } from "../tensor/dtype.ts";
import { rowShape, shapeIn } from "../tensor/layout.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { checkModTensors } from "./attention_tensors.ts";

/** The tensors of {@linkcode AttentionGradient.encode}; all of them are the caller's. */
export interface AttentionGradientTensors {
  /** Queries [B, S, N, headDim] (or [B, N, S, headDim]), as attention read them. */
  q: Tensor;
  /** Keys [B, capacity, numKvHeads, headDim] (or [B, numKvHeads, capacity, headDim]), as attention read them. */
  k: Tensor;
  /** Values [B, capacity, numKvHeads, valueDim] (or [B, numKvHeads, capacity, valueDim]), as attention read them. */
  v: Tensor;
  /** Keys that each sequence has, from its first: `"u32"` [B], as attention read them. The default is all. */
  lengths?: Tensor;
  /** The bias, as attention read it. */
  bias?: Tensor;
  /** The mask, as attention read it. */
  mask?: Tensor;
  /** The tensors that `scoreMod` and `maskMod` read, as attention read them. */
  modTensors?: Readonly<Record<string, Tensor>>;
  /** The output of attention [B, S, N, valueDim] (or [B, N, S, valueDim]); over shards of a context, that over the whole. */
  o: Tensor;
  /** The log-sum-exp of attention [B, S, N] (or [B, N, S]), f32; over shards of a context, that over the whole. */
  lse: Tensor;
  /** The gradient of the loss by o, shaped and stored as o. */
  dO: Tensor;
  /** Written: the gradient by q, shaped and stored as q. */
  dq: Tensor;
  /** Written: the gradient by k, shaped and stored as k; zero for keys that no query sees. */
  dk: Tensor;
  /** Written: the gradient by v, shaped and stored as v; zero for values that no query sees. */
  dv: Tensor;
}

/** The buffers of what the kernels read and write, by name. */
export type GradientBuffers =
  & Record<Exclude<keyof AttentionGradientTensors, "bias" | "mask" | "modTensors">, GPUBuffer>
  & Partial<Record<"bias" | "mask", GPUBuffer>>;

/**
 * The buffers of the tensors; throws unless every tensor is what was planned, and nothing is read and written at once.
 * `fullLengths` stands in for lengths that are not given.
 */
export function buffersOf(
  action: string,
  gpu: Gpu,
  { spec }: AttentionGradientPlan,
  tensors: AttentionGradientTensors,
  fullLengths: GPUBuffer,
): GradientBuffers {
  const { batch, numHeads, numKvHeads, headDim, valueDim, seqLen, capacity } = spec;
  const { dtype, kvDtype, layout, kvLayout } = spec;
  const check = (
    name: Exclude<keyof AttentionGradientTensors, "modTensors">,
    shape: readonly number[],
    type: ElementType,
  ) => checkTensor(action, name, tensors[name]!, { gpu, shape, dtype: type });
  const rows = (size: number) => shapeIn(layout, batch, numHeads, seqLen, size);
  const kvRows = (size: number) => shapeIn(kvLayout, batch, numKvHeads, capacity, size);
  check("q", rows(headDim), dtype);
  const { lengthsBuffer } = viewContiguous(action, gpu, spec, tensors, fullLengths);
  check("o", rows(valueDim), dtype);
  check("lse", rowShape(layout, batch, numHeads, seqLen), "f32");
  check("dO", rows(valueDim), dtype);
  check("dq", rows(headDim), dtype);
  check("dk", kvRows(headDim), kvDtype);
  check("dv", kvRows(valueDim), kvDtype);
  for (const name of ["bias", "mask"] as const) {
    const shape = spec[name];
    if (shape) check(name, shape, name === "mask" ? "bool" : dtype);
    else if (tensors[name]) {
      const rule = `${name} must be planned (give its shape) when the gradient is created`;
      throw new TypeError(sentence(action, rule, { [name]: shape }));
    }
  }
  const modTensors = checkModTensors(action, gpu, spec, tensors.modTensors);
  const { q, k, v, o, lse, dO, bias, mask, dq, dk, dv } = tensors;
  const read = [
    q,
    k,
    v,
    o,
    lse,
    dO,
    ...(bias ? [bias] : []),
    ...(mask ? [mask] : []),
    ...modTensors,
  ];
  const written = { dq, dk, dv };
  checkApart(action, "every gradient must have a buffer of its own", {
    written: Object.values(written).map(({ buffer }) => buffer),
    read: [...read.map(({ buffer }) => buffer), lengthsBuffer],
  }, { gradients: Object.keys(written) });
  return {
    ...{ q: q.buffer, k: k.buffer, v: v.buffer, o: o.buffer, lse: lse.buffer, dO: dO.buffer },
    ...{ dq: dq.buffer, dk: dk.buffer, dv: dv.buffer, lengths: lengthsBuffer },
    ...(bias && { bias: bias.buffer }),
    ...(mask && { mask: mask.buffer }),
    ...modBuffers(spec, tensors.modTensors),
  };
}
