/** `com.microsoft.GroupQueryAttention` for ONNX Runtime: it appends new tokens to a cache and attends to all of it, causally. */
import { type Asked, type Inputs, stepOf } from "../asked.ts";
import { swapMiddle } from "./layout.ts";
import { type Feed, integers, type OnnxAttention, OPERATORS, typeOf } from "./onnx_attention.ts";
import { refuse } from "./peer.ts";

/** Fills the slots of a cache that no token has been appended to: the operator must not read them. */
const POISON = 7;

/** A cache of another type than the queries'. */
interface OnnxStorage {
  type: Feed["type"];
  /** Elements of a head in storage, for each of its own. */
  share: number;
  /** The elements of a cache [batch, numKvHeads, capacity, headDim] as they are stored. */
  store(past: Float32Array): Feed["data"];
  strings: Readonly<Record<string, string>>;
  integers: Readonly<Record<string, number>>;
  scales: Feed[];
}

/** The operator over a cache that it appends to in place; over a ring it holds the last tokens and sheds the oldest of them. */
export function groupQueryAttention(asked: Asked, inputs: Inputs): OnnxAttention {
  const source = `${OPERATORS}#com.microsoft.GroupQueryAttention`;
  refuse(asked, ["valueDim", "hasOwnScore"], source);
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, sinkLogits } = asked;
  const { contextLens = Array<number>(batch).fill(contextLen) } = asked;
  const { window, softcap, ring, kvBits } = asked;
  const type = typeOf(asked);
  const storage = kvBits && integerStorage(kvBits);
  const newShape = [batch, seqLen, numKvHeads * headDim];
  const capacity = ring ? window! : contextLen;
  const cache = {
    type: storage?.type ?? type,
    shape: [batch, numKvHeads, capacity, headDim * (storage?.share ?? 1)],
  };
  const feed = (name: string, data: Float32Array, shape: number[]) => ({ name, type, data, shape });
  const biasShape = [1, numHeads, seqLen, contextLen];
  const [k, v] = [inputs.k, inputs.v].map((data) => splitCache(data, asked, capacity));
  const past = (name: string, data: Float32Array): Feed => ({
    ...{ name, ...cache, data: storage?.store(data) ?? data },
  });
  const operands = [
    feed("query", inputs.q, [batch, seqLen, numHeads * headDim]),
    feed("key", k.fresh, newShape),
    feed("value", v.fresh, newShape),
    past("past_key", k.past),
    past("past_value", v.past),
    integers("seqlens_k", contextLens.map((length) => length - 1)),
    integers("total_sequence_length", [contextLen]),
    undefined, // cos_cache
    undefined, // sin_cache
    undefined, // position_ids
    inputs.bias && feed("attention_bias", inputs.bias, biasShape),
    sinkLogits && feed("head_sink", Float32Array.from(sinkLogits), [numHeads]),
    ...storage?.scales ?? [],
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
        ...storage?.integers,
      },
      floats: softcap === undefined ? {} : { softcap },
      strings: storage?.strings,
      inputs: operands,
      outputs: [
        { name: "output", type, shape: [batch, seqLen, numHeads * headDim] },
        { name: "present_key", ...cache },
        { name: "present_value", ...cache },
      ],
    },
    version: 1,
    feeds: operands.filter((operand) => operand !== undefined),
    // A cache that sheds tokens is not the same the second time.
    inPlace: ring ? {} : { present_key: "past_key", present_value: "past_value" },
    arrange: (output) => output,
  };
}

/** Integers of one scale for all, which is an input. */
function integerStorage(kvBits: 8 | 4): OnnxStorage {
  const step = stepOf(kvBits);
  const whole = (value: number) => Math.round(value / step);
  // Two to a byte, the first in the low bits, from -8 on.
  const nibble = (value: number) => (whole(value) + 8) & 15;
  const scale = (name: string): Feed => ({
    ...{ name, type: "float32", data: Float32Array.of(step), shape: [1] },
  });
  return {
    type: kvBits === 8 ? "int8" : "uint8",
    share: kvBits / 8,
    store: (past) =>
      kvBits === 8 ? Int8Array.from(past, whole) : Uint8Array.from(
        { length: past.length / 2 },
        (_, i) => nibble(past[2 * i]) | nibble(past[2 * i + 1]) << 4,
      ),
    strings: { k_quant_type: "PER_TENSOR", v_quant_type: "PER_TENSOR" },
    integers: { kv_cache_bit_width: kvBits },
    scales: [scale("k_scale"), scale("v_scale")],
  };
}

/**
 * K or V [batch, numKvHeads, contextLen, headDim] as the new tokens [batch, seqLen, numKvHeads, headDim] and the cache
 * before them [batch, numKvHeads, capacity, headDim].
 */
function splitCache(
  data: Float32Array,
  asked: Asked,
  capacity: number,
): { fresh: Float32Array; past: Float32Array } {
  const { batch, numKvHeads, contextLen, contextLens, headDim, seqLen } = asked;
  const past = new Float32Array(batch * numKvHeads * capacity * headDim).fill(POISON);
  for (let head = 0; head < batch * numKvHeads; head++) {
    const length = contextLens?.[Math.floor(head / numKvHeads)] ?? contextLen;
    const from = Math.max(0, length - seqLen - capacity);
    const first = head * contextLen;
    past.set(
      data.subarray((first + from) * headDim, (first + length - seqLen) * headDim),
      head * capacity * headDim,
    );
  }
  return { fresh: newTokens(data, asked), past };
}

/** The new tokens of each sequence [batch, seqLen, numKvHeads, headDim]. */
export function newTokens(
  data: Float32Array,
  { batch, numKvHeads, contextLen, contextLens, headDim, seqLen }: Asked,
): Float32Array {
  const tokens = new Float32Array(batch * numKvHeads * seqLen * headDim);
  for (let head = 0; head < batch * numKvHeads; head++) {
    const length = contextLens?.[Math.floor(head / numKvHeads)] ?? contextLen;
    const end = head * contextLen + length;
    const rows = data.subarray((end - seqLen) * headDim, end * headDim);
    tokens.set(rows, head * seqLen * headDim);
  }
  return swapMiddle(tokens, [batch, numKvHeads, seqLen, headDim]);
}
