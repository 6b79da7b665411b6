/** `com.microsoft.GroupQueryAttention` for ONNX Runtime: it appends new tokens to a cache and attends to all of it, causally. */
import { type Asked, type Inputs, stepOf } from "../asked.ts";
import { swapMiddle } from "./layout.ts";
import { type Feed, integers, type OnnxAttention, OPERATORS, typeOf } from "./onnx_attention.ts";
import { refuse } from "./peer.ts";

/** Fills the slots of a cache that no token has been appended to: the operator must not read them. */
const POISON = 7;

/** How keys and values are stored: as they come, or in integers, as each provider has them. */
export interface OnnxStorage {
  /** The type and the sizes of a cache whose head sizes are given. */
  cache(asked: Asked, capacity: number): Pick<Feed, "type" | "shape">;
  /** The elements of a cache [batch, numKvHeads, capacity, headDim] as they are stored; undefined where only the operator stores. */
  store?(past: Float32Array, asked: Asked): Feed["data"];
  /** Further attributes and inputs. */
  strings?: Readonly<Record<string, string>>;
  integers?: Readonly<Record<string, number>>;
  scales?: Feed[];
  tolerance?: number;
}

/** A cache of floats. */
const FLOATS: OnnxStorage = {
  cache: (asked, capacity) => ({
    type: typeOf(asked),
    shape: [asked.batch, asked.numKvHeads, capacity, asked.headDim],
  }),
  store: (past) => past,
};

/** The operator over a cache that it appends to in place; over a ring it holds the last tokens and sheds the oldest of them. */
export function groupQueryAttention(
  asked: Asked,
  inputs: Inputs,
  storage: OnnxStorage = FLOATS,
): OnnxAttention {
  refuse(asked, ["valueDim", "hasOwnScore"], `${OPERATORS}#commicrosoftgroupqueryattention`);
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, sinkLogits } = asked;
  const { contextLens = Array<number>(batch).fill(contextLen), window, softcap, ring } = asked;
  const type = typeOf(asked);
  const capacity = ring ? window! : contextLen;
  const cache = storage.cache(asked, capacity);
  const feed = (name: string, data: Float32Array, shape: number[]) => ({ name, type, data, shape });
  const fresh = (name: string, data: Float32Array) =>
    feed(name, data, [batch, data.length / (batch * numKvHeads * headDim), numKvHeads * headDim]);
  const biasShape = [1, numHeads, seqLen, contextLen];
  const [k, v] = [inputs.k, inputs.v].map((data) => splitCache(data, asked, capacity));
  const past = (name: string, data: Float32Array): Feed => ({
    ...{ name, ...cache },
    data: storage.store?.(data, asked) ?? new Float32Array(cache.shape.reduce((a, b) => a * b)),
  });
  const operands = [
    feed("query", inputs.q, [batch, seqLen, numHeads * headDim]),
    fresh("key", k.fresh),
    fresh("value", v.fresh),
    past("past_key", k.past),
    past("past_value", v.past),
    integers("seqlens_k", contextLens.map((length) => length - 1)),
    integers("total_sequence_length", [contextLen]),
    undefined, // cos_cache
    undefined, // sin_cache
    undefined, // position_ids
    inputs.bias && feed("attention_bias", inputs.bias, biasShape),
    sinkLogits && feed("head_sink", Float32Array.from(sinkLogits), [numHeads]),
    ...storage.scales ?? [],
  ];
  while (operands.at(-1) === undefined) operands.pop();
  const pastLen = contextLen - seqLen;
  const tokensOf = (data: Float32Array) => tokensFirst(data, asked, 0, pastLen);
  return {
    node: {
      op: "GroupQueryAttention",
      domain: "com.microsoft",
      integers: {
        num_heads: numHeads,
        kv_num_heads: numKvHeads,
        ...(window !== undefined && { local_window_size: window }),
        ...(ring && { sliding_window_cache: 1 }),
        ...storage.integers,
      },
      floats: softcap === undefined ? {} : { softcap },
      strings: storage.strings,
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
    // Where only the operator stores, it is fed the past first; its queries are of no matter.
    ...(!storage.store && pastLen > 0 && {
      before: [
        feed("query", new Float32Array(batch * pastLen * numHeads * headDim), [
          ...[batch, pastLen, numHeads * headDim],
        ]),
        fresh("key", tokensOf(inputs.k)),
        fresh("value", tokensOf(inputs.v)),
        integers("seqlens_k", Array<number>(batch).fill(pastLen - 1)),
        integers("total_sequence_length", [pastLen]),
      ],
    }),
    tolerance: storage.tolerance,
  };
}

/** Integers of one scale for all, which is an input, as the CPU provider has them. */
export function scaledIntegers(kvBits: 8 | 4): OnnxStorage {
  const step = stepOf(kvBits);
  const scale = (name: string): Feed => ({
    ...{ name, type: "float32", data: Float32Array.of(step), shape: [1] },
  });
  return {
    cache: ({ batch, numKvHeads, headDim }, capacity) => ({
      type: kvBits === 8 ? "int8" : "uint8",
      shape: [batch, numKvHeads, capacity, headDim * kvBits / 8],
    }),
    store(past) {
      if (kvBits === 8) return Int8Array.from(past, (value) => Math.round(value / step));
      // Two to a byte, the first in the low bits, from -8 on.
      const nibble = (value: number) => (Math.round(value / step) + 8) & 15;
      return Uint8Array.from(
        { length: past.length / 2 },
        (_, i) => nibble(past[2 * i]) | nibble(past[2 * i + 1]) << 4,
      );
    },
    strings: { k_quant_type: "PER_TENSOR", v_quant_type: "PER_TENSOR" },
    integers: { kv_cache_bit_width: kvBits },
    scales: [scale("k_scale"), scale("v_scale")],
  };
}

/** A scale and packed integers for each row, among elements of floats, as the WebGPU provider has them. */
export function packedRows(kvBits: 8 | 4): OnnxStorage {
  return {
    cache: ({ batch, numKvHeads, headDim }, capacity) => ({
      type: "float32",
      shape: [batch, numKvHeads, capacity, 1 + headDim * kvBits / 32],
    }),
    // Its four bits are codes of rotated rows, not integers: it rounds what these hold.
    ...(kvBits === 4 && { tolerance: 5e-2 }),
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
  return { fresh: tokensFirst(data, asked, -seqLen, 0), past };
}

/** Tokens of each sequence [batch, tokens, numKvHeads, headDim]; those counted from its end are negative, and 0 is its end. */
export function tokensFirst(
  data: Float32Array,
  { batch, numKvHeads, contextLen, contextLens, headDim }: Asked,
  from: number,
  to: number,
): Float32Array {
  const count = to - from;
  const tokens = new Float32Array(batch * numKvHeads * count * headDim);
  for (let head = 0; head < batch * numKvHeads; head++) {
    const length = contextLens?.[Math.floor(head / numKvHeads)] ?? contextLen;
    const first = head * contextLen + (from < 0 ? length + from : from);
    const row = data.subarray(first * headDim, (first + count) * headDim);
    tokens.set(row, head * count * headDim);
  }
  return swapMiddle(tokens, [batch, numKvHeads, count, headDim]);
}
