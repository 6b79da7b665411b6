// GGUF files: their bytes by a reader made by hand, and decoders under the names of llama.cpp.
import { assertEquals, assertRejects } from "@std/assert";
import { encodeGguf } from "../../../bench/models/gguf.ts";
import { ggufDecoder, textOf, tokensOf } from "../../../bench/models/gguf_decoder.ts";
import { joinQkv } from "../../../mod.ts";
import type { DecoderSpec } from "../../../src/model/mod.ts";
import { weightsOf } from "../../support/models.ts";
import { testRandomly } from "../../support/random.ts";

/** Reads metadata and tensors. */
async function read(parts: BlobPart[]) {
  const view = new DataView(await new Blob(parts).arrayBuffer());
  let at = 0;
  const take = (bytes: number) => (at += bytes) - bytes;
  const u32 = () => view.getUint32(take(4), true);
  const u64 = () => Number(view.getBigUint64(take(8), true));
  const string = (length = u64()) =>
    new TextDecoder().decode(new Uint8Array(view.buffer, take(length), length));
  const value = (type: number): unknown => {
    if (type === 4) return u32();
    if (type === 5) return view.getInt32(take(4), true);
    if (type === 6) return view.getFloat32(take(4), true);
    if (type === 7) return view.getUint8(take(1)) === 1;
    if (type === 8) return string();
    assertEquals(type, 9);
    const [of, count] = [u32(), u64()];
    return Array.from({ length: count }, () => value(of));
  };
  assertEquals([string(4), u32()], ["GGUF", 3]);
  const [numTensors, numValues] = [u64(), u64()];
  const metadata = Object.fromEntries(
    Array.from({ length: numValues }, () => [string(), value(u32())]),
  );
  const places = Array.from({ length: numTensors }, () => {
    const name = string();
    const shape = Array.from({ length: u32() }, u64).reverse();
    return { name, shape, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / 32) * 32;
  const tensors = places.map(({ name, shape, type, offset }) => {
    assertEquals([type, offset % 32], [0, 0]);
    const count = shape.reduce((a, b) => a * b);
    return { name, shape, data: new Float32Array(view.buffer, start + offset, count) };
  });
  assertEquals(view.byteLength % 32, 0);
  return { metadata, tensors };
}

Deno.test("bench models: a GGUF file holds what a reader finds again", async () => {
  const tensors = [
    { name: "a", shape: [3], data: Float32Array.of(1, -2, 3.5) },
    { name: "b.weight", shape: [2, 5], data: Float32Array.from({ length: 10 }, (_, i) => i) },
  ];
  const { metadata, tensors: found } = await read(encodeGguf({
    metadata: {
      ...{ "x.count": { u32: 4e9 }, "x.eps": { f32: 0.5 }, "x.name": { string: "\u00e4b" } },
      ...{ "x.flag": { bool: true }, list: { i32s: [1, -2] }, scores: { f32s: [0.25] } },
      words: { strings: Array.from({ length: 300 }, (_, i) => `word ${i}`) },
    },
    tensors,
  }));
  assertEquals(metadata, {
    ...{ "x.count": 4e9, "x.eps": 0.5, "x.name": "\u00e4b", "x.flag": true },
    ...{ list: [1, -2], scores: [0.25], words: Array.from({ length: 300 }, (_, i) => `word ${i}`) },
  });
  assertEquals(found, tensors);
});

Deno.test("bench models: texts of a file's vocabulary are tokens again", () => {
  assertEquals(textOf([0, 12, 7]), "t0;t12;t7;");
  assertEquals(tokensOf(textOf([0, 12, 7])), [0, 12, 7]);
  assertEquals(tokensOf(""), []);
});

const LLAMA: DecoderSpec = {
  ...{ vocabSize: 5, dim: 8, hiddenDim: 6, numHeads: 2, numKvHeads: 1, headDim: 4 },
  ...{ contextLen: 16, layers: [{ rope: { style: "pairs", base: 500 } }] },
  norm: { kind: "rms", eps: 1e-5 },
  ...{ activation: "silu", isGated: true, isParallel: false },
};

testRandomly("bench models: a Llama as GGUF", async (random) => {
  const weights = weightsOf(LLAMA, random);
  const { metadata, tensors } = await ggufDecoder({ spec: LLAMA, weights });
  assertEquals(metadata["general.architecture"], { string: "llama" });
  assertEquals(metadata["llama.rope.freq_base"], { f32: 500 });
  assertEquals(metadata["llama.attention.head_count_kv"], { u32: 1 });
  assertEquals(
    tensors.map(({ name }) => name).sort(),
    [
      ...["attn_k", "attn_norm", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate"],
      ...["ffn_norm", "ffn_up"],
    ].map((name) => `blk.0.${name}.weight`).concat("output_norm.weight", "token_embd.weight"),
  );
  const { data, shape } = await weights.read("layers.0.down.weight");
  const down = tensors.find(({ name }) => name.endsWith("ffn_down.weight"))!;
  assertEquals([down.shape, [...down.data]], [[8, 6], [...data]]);
  assertEquals(shape, [8, 6]);
});

testRandomly("bench models: a StarCoder as GGUF", async (random) => {
  const spec: DecoderSpec = {
    ...{ ...LLAMA, layers: [{}], norm: { kind: "layer", eps: 1e-5 } },
    ...{ activation: "geluTanh", isGated: false },
  };
  const weights = weightsOf(spec, random, ["positions.weight", "bias", "classifier.weight"]);
  const { metadata, tensors } = await ggufDecoder({ spec, weights });
  assertEquals(metadata["general.architecture"], { string: "starcoder" });
  const qkv = tensors.find(({ name }) => name === "blk.0.attn_qkv.bias")!;
  const part = async (of: string) => (await weights.read(`layers.0.${of}.bias`)).data;
  const parts = { q: await part("q"), k: await part("k"), v: await part("v") };
  const joined = joinQkv(parts, { ...spec, arrangement: "concatenated" });
  assertEquals([qkv.shape, qkv.data], [[16], joined]);
  const names = tensors.map(({ name }) => name);
  const missing = ["position_embd.weight", "output.weight"].filter((name) => !names.includes(name));
  assertEquals(missing, []);
});

testRandomly("bench models: a Gemma 3 as GGUF", async (random) => {
  const local = { rope: {}, window: 3 };
  const spec: DecoderSpec = {
    ...{ ...LLAMA, activation: "geluTanh", embeddingScale: Math.sqrt(LLAMA.dim) },
    layers: [...Array(5).fill(local), { rope: { base: 1e6 } }, local],
  };
  const weights = weightsOf(spec, random, ["qNorm.weight", "kNorm.weight"]);
  const { metadata, tensors } = await ggufDecoder({ spec, weights });
  // The base of layers that see all tokens, and of those with a window.
  assertEquals(metadata["gemma3.rope.freq_base"], { f32: 1e6 });
  assertEquals(metadata["gemma3.rope.freq_base_swa"], { f32: 10_000 });
  assertEquals(metadata["gemma3.attention.sliding_window"], { u32: 3 });
  assertEquals(tensors.filter(({ name }) => name.includes("attn_q_norm")).length, 7);
});

testRandomly(
  "bench models: a decoder that llama.cpp has no name for is refused",
  async (random) => {
    const refused = async (changes: Partial<DecoderSpec>) => {
      const spec = { ...LLAMA, ...changes };
      const source = { spec, weights: weightsOf(spec, random) };
      await assertRejects(() => ggufDecoder(source), RangeError, "one of llama, gemma3, starcoder");
    };
    await refused({ isParallel: true });
    await refused({ scale: 1 });
    await refused({ activation: "gelu" });
    await refused({ layers: [{ rope: { style: "pairs" }, window: 4 }] });
    await refused({ layers: [{ rope: {} }] });
  },
);
