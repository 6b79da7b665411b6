import {
  type AttentionSpec,
  type Dtype,
  type HostTensor,
  RingKvCache,
  type RopeOptions,
} from "../../mod.ts";
import { sharedGpu } from "./gpu.ts";
import { type Inputs, runAttention, submit, swapLayout, Tensors } from "./run.ts";
import { downloadKv } from "./transcript.ts";

/** One of ONNX's node tests: an operator, its inputs and what must come out. */
export interface OnnxCase {
  name: string;
  op: string;
  attributes: Record<string, number | string>;
  inputs: Record<string, OnnxTensor>;
  outputs: Record<string, OnnxTensor>;
}

/** A tensor of a node test. */
export interface OnnxTensor extends HostTensor {
  type: string;
}

const PATH = new URL("../../../shared/data/onnx-node-tests/cases.json", import.meta.url);

/** The node tests, or nothing where the data is absent. */
export function onnxCases(): OnnxCase[] {
  try {
    return JSON.parse(
      Deno.readTextFileSync(PATH),
      (_, value) => value?.base64 ? decode(value) : value,
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log(`ONNX's node tests are not run: ${PATH.pathname} is absent`);
    return [];
  }
}

/** What comes out of an operator, by the names of its outputs. */
export type OnnxOutputs = Record<string, ArrayLike<number>>;

/** Runs the Attention operator (opset 23 and 24). */
export async function runOnnxAttention(
  { attributes, inputs, outputs }: OnnxCase,
  impl: "staged" | "fused",
): Promise<OnnxOutputs> {
  const { Q, attn_mask, past_key, past_value, nonpad_kv_seqlen } = inputs;
  const numHeads = Number(attributes.q_num_heads ?? Q.shape[1]);
  const numKvHeads = Number(attributes.kv_num_heads ?? inputs.K.shape[1]);
  const layout = Q.shape.length === 3 ? "BSNH" : "BNSH";
  const dtype: Dtype = Q.type === "float16" ? "f16" : "f32";
  const [q, k, v] = [
    withHeads(Q, numHeads),
    withHeads(inputs.K, numKvHeads),
    withHeads(inputs.V, numKvHeads),
  ];
  const tokens = layout === "BSNH" ? 1 : 2;
  const stage = (["products", "softcapped", "scores", "weights"] as const)[
    Number(attributes.qk_matmul_output_mode ?? 0)
  ];
  const past = past_key?.shape[2] ?? 0;
  const spec: AttentionSpec = {
    ...{ batch: q.shape[0], numHeads, numKvHeads, headDim: q.shape[3], valueDim: v.shape[3] },
    ...{ seqLen: q.shape[tokens], capacity: past + k.shape[tokens], layout, dtype, impl },
    causal: attributes.is_causal === 1,
    alignment: nonpad_kv_seqlen ? "bottom-right" : past,
    scale: attributes.scale === undefined ? undefined : Number(attributes.scale),
    softcap: Number(attributes.softcap ?? 0) || undefined,
    outputs: impl === "staged" && outputs.qk_matmul_output ? [stage] : [],
  };
  const masks: Partial<Inputs> = attn_mask?.type === "bool"
    ? { mask: attn_mask }
    : { bias: attn_mask };
  if (!past_key) {
    const given = { q, k, v, ...masks };
    const result = await runAttention(spec, { ...given, lengths: nonpad_kv_seqlen });
    // To ONNX, padding is masked with the rest: before that its products are there.
    const isEarly = stage === "products" || stage === "softcapped";
    const { [stage]: rows } = isEarly && nonpad_kv_seqlen
      ? await runAttention(spec, given)
      : result;
    return { Y: result.o, ...qkMatmul(rows) };
  }

  // What has passed is appended to a cache, then what is new: the cache is what ONNX calls the present.
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, { ...spec, numKvHeads }));
  for (const [newK, newV] of [[past_key, past_value].map((x) => inLayout(x, layout)), [k, v]]) {
    const appended = {
      k: await tensors.upload(newK, dtype),
      v: await tensors.upload(newV, dtype),
    };
    await submit((encoder) => cache.append(encoder, appended));
  }
  const result = await runAttention({ ...cache.spec, ...spec, kvLayout: "BNSH" }, {
    q,
    cache,
    ...masks,
  });
  return {
    Y: result.o,
    present_key: await downloadKv(cache, "k"),
    present_value: await downloadKv(cache, "v"),
    ...qkMatmul(result[stage]),
  };
}

/** Runs the TensorScatter operator (opset 24): a full cache is rolled back to where it is to be written, and appended to. */
export async function runOnnxTensorScatter({ attributes, inputs }: OnnxCase): Promise<OnnxOutputs> {
  const { past_cache, update, write_indices } = inputs;
  const [batch, numKvHeads, capacity, headDim] = past_cache.shape;
  using tensors = new Tensors();
  const cache = tensors.keep(
    await RingKvCache.create(await sharedGpu(), {
      ...{ batch, numKvHeads, headDim, capacity, layout: "BNSH", window: 1 },
      maxSeqLen: update.shape[2],
      overflow: attributes.mode === "circular" ? "wrap" : "error",
    }),
  );
  const [past, tokens] = [await tensors.upload(past_cache), await tensors.upload(update)];
  await submit((encoder) => {
    cache.append(encoder, { k: past, v: past });
    Array.from(write_indices.data, (index, b) => cache.truncate(encoder, index, b));
    cache.append(encoder, { k: tokens, v: tokens });
  });
  return { present_cache: await downloadKv(cache, "k") };
}

/**
 * Runs the RotaryEmbedding operator (opset 23), on queries or on keys that are appended.
 *
 * Its caches may hold any numbers, and those of the node tests are random: a cosine c and a sine s of no angle. Rope turns
 * pair j by position x frequency, so what maps is the angle of (c, s), as a frequency at position 1; that the magnitude of
 * (c, s) differs from pair to pair does not, and is multiplied in here.
 */
export async function runOnnxRotaryEmbedding(
  { attributes, inputs }: OnnxCase,
  role: "queries" | "keys",
): Promise<OnnxOutputs> {
  const { X, cos_cache, sin_cache, position_ids } = inputs;
  const is3d = X.shape.length === 3;
  const x = is3d ? swapLayout(withHeads(X, Number(attributes.num_heads))) : X;
  const [batch, heads, seqLen, headDim] = x.shape;
  const dims = Number(attributes.rotary_embedding_dim ?? 0) || headDim;
  const pairs = dims / 2;
  const style = attributes.interleaved ? "pairs" : "halves";
  const y = new Float32Array(x.data.length);
  for (let token = 0; token < batch * seqLen; token++) {
    const first = (position_ids ? position_ids.data[token] : token) * pairs;
    const [c, s] = [cos_cache, sin_cache].map(({ data }) => (pair: number) => data[first + pair]);
    const pairOf = (h: number) => style === "halves" ? h % pairs : Math.floor(h / 2);
    const frequencies = Array.from({ length: pairs }, (_, pair) => Math.atan2(s(pair), c(pair)));
    const magnitudes = Array.from(
      { length: headDim },
      (_, h) => h < dims ? Math.hypot(c(pairOf(h)), s(pairOf(h))) : 1,
    );
    const rowOf = (head: number) =>
      ((Math.floor(token / seqLen) * heads + head) * seqLen + token % seqLen) * headDim;
    const rows = Array.from(
      { length: heads },
      (_, head) => magnitudes.map((factor, h) => factor * x.data[rowOf(head) + h]),
    );
    const rotated = await rotatedAtOne(rows, { dims, style, frequencies }, role);
    for (let head = 0; head < heads; head++) {
      y.set(rotated.subarray(head * headDim, (head + 1) * headDim), rowOf(head));
    }
  }
  return { Y: is3d ? swapLayout({ data: y, shape: x.shape }).data : y };
}

/** The rows of a token's heads, rotated to position 1. */
async function rotatedAtOne(
  rows: readonly number[][],
  rope: RopeOptions,
  role: "queries" | "keys",
): Promise<Float32Array> {
  using tensors = new Tensors();
  const [heads, headDim] = [rows.length, rows[0].length];
  const shape = { numKvHeads: heads, headDim, capacity: 2 };
  const cache = tensors.keep(await RingKvCache.create(await sharedGpu(), { ...shape, rope }));
  const row = { data: rows.flat(), shape: [1, 1, heads, headDim] };
  const [k, q] = [await tensors.upload(row), await tensors.upload(row)];
  await submit((encoder) => {
    for (let position = 0; position < 2; position++) cache.append(encoder, { k, v: k });
    cache.ropeQueries(encoder, q);
  });
  if (role === "queries") return await q.download();
  const slots = await downloadKv(cache, "k");
  return slots.filter((_, i) => Math.floor(i / headDim) % 2 === 1);
}

function qkMatmul(rows: Float32Array | undefined): Record<string, Float32Array> {
  return rows ? { qk_matmul_output: rows } : {};
}

/** [B, S, N H] as [B, S, N, H]; four axes are [B, N, S, H] already. */
function withHeads({ data, shape }: HostTensor, heads: number): HostTensor {
  if (shape.length === 4) return { data, shape };
  return { data, shape: [shape[0], shape[1], heads, shape[2] / heads] };
}

function inLayout(tensor: HostTensor, layout: "BSNH" | "BNSH"): HostTensor {
  return layout === "BNSH" ? tensor : swapLayout(tensor);
}

function decode(
  { dtype, shape, base64 }: { dtype: string; shape: number[]; base64: string },
): OnnxTensor {
  const { buffer } = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const elements = {
    float32: () => new Float32Array(buffer),
    float16: () => Float32Array.from(new Float16Array(buffer)),
    int64: () => Array.from(new BigInt64Array(buffer), Number),
    bool: () => new Uint8Array(buffer),
  }[dtype];
  if (!elements) throw new TypeError(`Cannot read a node test as it holds ${dtype}`);
  return { data: elements(), shape, type: dtype };
}
