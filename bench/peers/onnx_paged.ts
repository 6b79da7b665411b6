/** `com.microsoft.PagedAttention` for ONNX Runtime: new tokens go into pages of a pool, and attend to all of their sequence. */
import type { Asked, Inputs } from "../asked.ts";
import { TOLERANCE } from "../verify.ts";
import { integers, type OnnxAttention } from "./onnx_attention.ts";
import { newTokens } from "./onnx_group_query.ts";
import { inPages, PAGE_SIZE, pageTableOf } from "./pages.ts";

/** The operator over a pool of pages, in f16: it has no other element type. */
export function pagedAttention(asked: Asked, inputs: Inputs): OnnxAttention {
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen } = asked;
  const type = "float16" as const;
  const tokens = batch * seqLen;
  const table = pageTableOf(asked);
  const poolShape = [table.length, PAGE_SIZE, numKvHeads, headDim];
  const feed = (name: string, data: Float32Array, shape: number[]) => ({ name, type, data, shape });
  const fresh = (name: string, data: Float32Array) =>
    feed(name, newTokens(data, asked), [tokens, numKvHeads * headDim]);
  const feeds = [
    feed("query", inputs.q, [tokens, numHeads * headDim]),
    fresh("key", inputs.k),
    fresh("value", inputs.v),
    feed("key_cache", inPages(inputs.k, asked, headDim), poolShape),
    feed("value_cache", inPages(inputs.v, asked, headDim), poolShape),
    integers("cumulative_sequence_length", Array.from({ length: batch + 1 }, (_, i) => i * seqLen)),
    integers("past_seqlens", Array<number>(batch).fill(contextLen - seqLen)),
    { ...integers("block_table", table), shape: [batch, table.length / batch] },
  ];
  return {
    node: {
      op: "PagedAttention",
      domain: "com.microsoft",
      integers: { num_heads: numHeads, kv_num_heads: numKvHeads },
      inputs: feeds,
      outputs: [
        { name: "output", type, shape: [tokens, numHeads * headDim] },
        { name: "key_cache_out", type, shape: poolShape },
        { name: "value_cache_out", type, shape: poolShape },
      ],
    },
    version: 1,
    feeds,
    inPlace: { key_cache_out: "key_cache", value_cache_out: "value_cache" },
    arrange: (output) => output,
    tolerance: TOLERANCE.f16,
  };
}
