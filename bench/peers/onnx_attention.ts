/** An attention for ONNX Runtime: the operator and its tensors. */
import type { Asked, Inputs } from "../asked.ts";
import { swapMiddle } from "./layout.ts";
import type { Node, Value } from "./onnx_model.ts";
import { refuse } from "./peer.ts";

/** The version of ONNX Runtime, for all of its packages. */
export const VERSION = "1.30.0";

/** Fills the slots of a cache that no token has been appended to: the operator must not read them. */
const POISON = 7;

/** The results of a runtime. */
export type Elements = Float32Array | Float16Array;

/** A tensor that goes in. */
export interface Feed extends Value<number> {
  data: Float32Array | Int32Array;
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
}

/**
 * `com.microsoft.GroupQueryAttention`: appends the new tokens to a cache, in place, and attends to all of it, causally. A
 * ring holds the last tokens of the past, and sheds the oldest of them.
 */
export function groupQueryAttention(asked: Asked, inputs: Inputs): OnnxAttention {
  refuse(asked, ["valueDim"]);
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, sinkLogits } = asked;
  const type = typeOf(asked);
  const newShape = [batch, seqLen, numKvHeads * headDim];
  const { window, softcap, ring } = asked;
  const capacity = ring ? window! : contextLen;
  const cacheShape = [batch, numKvHeads, capacity, headDim];
  const feed = (name: string, data: Float32Array, shape: number[]) => ({ name, type, data, shape });
  const integer = (name: string, shape: number[], value: number) => {
    const data = new Int32Array(shape.reduce((a, b) => a * b, 1)).fill(value);
    return { name, type: "int32" as const, data, shape };
  };
  const biasShape = [1, numHeads, seqLen, contextLen];
  const [k, v] = [inputs.k, inputs.v].map((data) => splitCache(data, asked, capacity));
  const operands = [
    feed("query", inputs.q, [batch, seqLen, numHeads * headDim]),
    feed("key", k.fresh, newShape),
    feed("value", v.fresh, newShape),
    feed("past_key", k.past, cacheShape),
    feed("past_value", v.past, cacheShape),
    integer("seqlens_k", [batch], contextLen - 1),
    integer("total_sequence_length", [1], contextLen),
    undefined, // cos_cache
    undefined, // sin_cache
    undefined, // position_ids
    inputs.bias && feed("attention_bias", inputs.bias, biasShape),
    sinkLogits && feed("head_sink", Float32Array.from(sinkLogits), [numHeads]),
  ];
  while (operands.at(-1) === undefined) operands.pop();
  return {
    node: {
      op: "GroupQueryAttention",
      domain: "com.microsoft",
      integers: {
        num_heads: numHeads,
        kv_num_heads: numKvHeads,
        ...(window !== undefined && { local_window_size: window }),
        ...(ring && { sliding_window_cache: 1 }),
      },
      floats: softcap === undefined ? {} : { softcap },
      inputs: operands,
      outputs: [
        { name: "output", type, shape: [batch, seqLen, numHeads * headDim] },
        { name: "present_key", type, shape: cacheShape },
        { name: "present_value", type, shape: cacheShape },
      ],
    },
    version: 1,
    feeds: operands.filter((operand) => operand !== undefined),
    // A cache that sheds tokens is not the same the second time.
    inPlace: ring ? {} : { present_key: "past_key", present_value: "past_value" },
    arrange: (output) => output,
  };
}

/** ONNX's own `Attention` over keys and values that lie there as a whole. */
export function standardAttention(asked: Asked, inputs: Inputs): OnnxAttention {
  refuse(asked, ["valueDim"]);
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, softcap } = asked;
  const type = typeOf(asked);
  const q = swapMiddle(inputs.q, [batch, seqLen, numHeads, headDim]);
  const kvShape = [batch, numKvHeads, contextLen, headDim];
  const oShape = [batch, numHeads, seqLen, headDim] as const;
  const feeds: Feed[] = [
    { name: "Q", type, data: q, shape: oShape },
    { name: "K", type, data: inputs.k, shape: kvShape },
    { name: "V", type, data: inputs.v, shape: kvShape },
  ];
  return {
    node: {
      op: "Attention",
      domain: "",
      integers: { is_causal: seqLen > 1 ? 1 : 0 },
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

function typeOf({ dtype }: Asked): "float32" | "float16" {
  return dtype === "f16" ? "float16" : "float32";
}

/**
 * K or V [batch, numKvHeads, contextLen, headDim] as the new tokens [batch, seqLen, numKvHeads, headDim] and the cache
 * before them [batch, numKvHeads, capacity, headDim].
 */
function splitCache(
  data: Float32Array,
  { batch, numKvHeads, contextLen, headDim, seqLen }: Asked,
  capacity: number,
): { fresh: Float32Array; past: Float32Array } {
  const heads = batch * numKvHeads;
  const past = new Float32Array(heads * capacity * headDim).fill(POISON);
  const fresh = new Float32Array(heads * seqLen * headDim);
  const pastLen = contextLen - seqLen;
  for (let head = 0; head < heads; head++) {
    const tokens = (from: number, to: number) => {
      const first = head * contextLen;
      return data.subarray((first + from) * headDim, (first + to) * headDim);
    };
    past.set(tokens(Math.max(0, pastLen - capacity), pastLen), head * capacity * headDim);
    fresh.set(tokens(pastLen, contextLen), head * seqLen * headDim);
  }
  return { fresh: swapMiddle(fresh, [batch, numKvHeads, seqLen, headDim]), past };
}
