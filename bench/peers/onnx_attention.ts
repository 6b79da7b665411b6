/** An attention for ONNX Runtime: the operator and its tensors. */
import type { Asked, Inputs } from "../asked.ts";
import { addendOf, swapMiddle } from "./layout.ts";
import type { Node, Value } from "./onnx_model.ts";
import { AbsentError, type Peer } from "./peer.ts";

/** The version of ONNX Runtime, for all of its packages. */
export const VERSION = "1.30.0";

/** Its operators, and its interface in JavaScript. */
export const OPERATORS =
  `https://github.com/microsoft/onnxruntime/blob/v${VERSION}/docs/ContribOperators.md`;
const API = "https://onnxruntime.ai/docs/api/js/";

/** Sessions infer, and nothing else. */
export const NO_GRADIENT: Peer["prepareGradient"] = () =>
  Promise.reject(new AbsentError("gradients", API));

/** The results of a runtime. */
export type Elements = Float32Array | Float16Array;

/** A tensor that goes in. */
export interface Feed extends Value<number> {
  data: Float32Array | Int32Array | Int8Array | Uint8Array;
}

/** An operator over given tensors. Its first output is the attention's. */
export interface OnnxAttention {
  node: Node<Value<number>>;
  /** The version of its operator set. */
  version: number;
  feeds: Feed[];
  /** Outputs that share the memory of a feed: the cache, appended to in place. */
  inPlace: Readonly<Record<string, string>>;
  /** Brings the elements of the first output into [batch, seqLen, numHeads, headDim]. */
  arrange(output: Elements): Elements;
  /** The largest error that its rounding leaves room for, where it rounds more than what was asked does. */
  tolerance?: number;
}

/** ONNX's own `Attention` over keys and values that lie there as a whole; it is causal from the first key on, or by a mask. */
export function standardAttention(asked: Asked, inputs: Inputs): OnnxAttention {
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, softcap } = asked;
  const { valueDim = headDim } = asked;
  const type = typeOf(asked);
  const q = swapMiddle(inputs.q, [batch, seqLen, numHeads, headDim]);
  const kvShape = [batch, numKvHeads, contextLen, headDim];
  const oShape = [batch, numHeads, seqLen, valueDim] as const;
  const mask = seqLen === contextLen ? undefined : addendOf(asked, undefined);
  const feeds: Feed[] = [
    { name: "Q", type, data: q, shape: oShape.with(-1, headDim) },
    { name: "K", type, data: inputs.k, shape: kvShape },
    { name: "V", type, data: inputs.v, shape: kvShape.with(-1, valueDim) },
    ...mask ? [{ name: "attn_mask", type, ...mask }] : [],
  ];
  return {
    node: {
      op: "Attention",
      domain: "",
      integers: { is_causal: seqLen > 1 && !mask ? 1 : 0 },
      floats: softcap === undefined ? {} : { softcap },
      inputs: feeds,
      outputs: [{ name: "Y", type, shape: oShape }],
    },
    version: 23,
    feeds,
    inPlace: {},
    arrange: (output) => swapMiddle(output, oShape),
  };
}

export function typeOf({ dtype }: Asked): "float32" | "float16" {
  return dtype === "f16" ? "float16" : "float32";
}

/** The tensor of whole numbers that are all given. */
export function integers(name: string, data: ArrayLike<number>): Feed {
  return { name, type: "int32", data: Int32Array.from(data), shape: [data.length] };
}
