/** The tensors of a gradient, and what they must be. */
import { sentence } from "../base/check.ts";
import { viewContiguous } from "../cache/contiguous_kv.ts";
import { checkApart } from "../gpu/apart.ts";
import type { Gpu } from "../gpu/device.ts";
import type { AttentionGradientPlan } from "../plan/backward.ts";
import type { ScoreGradient } from "../plan/backward_spec.ts";
import { checkModTensors, modBuffers } from "../score/mod_tensors.ts";
import type { ElementType } from "../tensor/dtype.ts";
import { rowShape, shapeIn } from "../tensor/layout.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";

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
  /** Written where `gradients` has it: the gradient by the bias, shaped and stored as the bias. */
  dBias?: Tensor;
  /** Written where `gradients` has it: the gradient by the slopes of ALiBi [N], f32. */
  dAlibiSlopes?: Tensor;
  /** Written where `gradients` has it: the gradient by the sink logits [N], f32. */
  dSinkLogits?: Tensor;
}

/**
 * The buffers of the tensors by name; throws unless every tensor is what was planned, and nothing is read and written at
 * once. `fullLengths` stands in for lengths that are not given.
 */
export function buffersOf(
  action: string,
  gpu: Gpu,
  { spec, gradients }: AttentionGradientPlan,
  tensors: AttentionGradientTensors,
  fullLengths: GPUBuffer,
): Record<"k" | "v", GPUBuffer> & Record<string, GPUBuffer> {
  const { batch, numHeads, numKvHeads, headDim, valueDim, seqLen, capacity, bias, mask } = spec;
  const { dtype, kvDtype, layout, kvLayout } = spec;
  const rows = (size: number) => shapeIn(layout, batch, numHeads, seqLen, size);
  const kvRows = (size: number) => shapeIn(kvLayout, batch, numKvHeads, capacity, size);
  const { lengthsBuffer } = viewContiguous(action, gpu, spec, tensors, fullLengths);
  const isAsked = (name: ScoreGradient) => gradients.includes(name);
  const [planned, asked] = ["planned (give its shape)", "among the gradients"];
  const read: Expected[] = [
    { name: "q", shape: rows(headDim), dtype },
    { name: "k", shape: kvRows(headDim), dtype: kvDtype },
    { name: "v", shape: kvRows(valueDim), dtype: kvDtype },
    { name: "o", shape: rows(valueDim), dtype },
    { name: "lse", shape: rowShape(layout, batch, numHeads, seqLen), dtype: "f32" },
    { name: "dO", shape: rows(valueDim), dtype },
    { name: "bias", shape: bias, dtype, must: planned },
    { name: "mask", shape: mask, dtype: "bool", must: planned },
  ];
  const perHead = { shape: [numHeads], dtype: "f32", must: asked } as const;
  const written: Expected[] = [
    { name: "dq", shape: rows(headDim), dtype },
    { name: "dk", shape: kvRows(headDim), dtype: kvDtype },
    { name: "dv", shape: kvRows(valueDim), dtype: kvDtype },
    { name: "dBias", shape: isAsked("dBias") ? bias : undefined, dtype, must: asked },
    ...(["dAlibiSlopes", "dSinkLogits"] as const).map((name) => ({
      ...{ ...perHead, name, shape: isAsked(name) ? perHead.shape : undefined },
    })),
  ];
  const buffers = ({ name, shape, dtype, must }: Expected): [string, GPUBuffer][] => {
    const tensor = tensors[name];
    if (shape) {
      checkTensor(action, name, tensor!, { gpu, shape, dtype });
      return [[name, tensor!.buffer]];
    }
    if (!tensor) return [];
    const rule = `${name} must be ${must} when the gradient of attention is created`;
    throw new TypeError(sentence(action, rule, { bias, mask, gradients }));
  };
  const [given, own] = [read.flatMap(buffers), written.flatMap(buffers)];
  const modTensors = checkModTensors(action, gpu, spec, tensors.modTensors);
  checkApart(action, "every gradient must have a buffer of its own", {
    written: own.map(([, buffer]) => buffer),
    read: [
      ...given.map(([, buffer]) => buffer),
      ...modTensors.map(({ buffer }) => buffer),
      lengthsBuffer,
    ],
  }, { gradients: own.map(([name]) => name) });
  const { k, v, ...others } = Object.fromEntries([...given, ...own]);
  return { k, v, ...others, lengths: lengthsBuffer, ...modBuffers(spec, tensors.modTensors) };
}

/** What a tensor must be; one without a shape must not be there. */
interface Expected {
  name: Exclude<keyof AttentionGradientTensors, "modTensors">;
  shape?: readonly number[];
  dtype: ElementType;
  must?: string;
}
