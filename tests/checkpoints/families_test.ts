// Families: what config.json means, and that every tensor is found, checked and mapped.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  CheckpointError,
  type DecoderSpec,
  openCheckpoint,
  type WeightData,
  withPooledKvHeads,
} from "../../src/checkpoints/mod.ts";
import { poolKvHeads } from "../../mod.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { type FloatDtype, inFolder, safetensors } from "../support/checkpoint_files.ts";

type Shape = readonly number[];

/** A tiny model: its files, and what must come of them. */
interface Tiny {
  name: string;
  config: Record<string, unknown>;
  /** Tensors in the file. */
  tensors: Record<string, Shape>;
  /** The weights that there must be, and from which rows of which tensors they come; all rows where no list is given. */
  weights: Record<string, [tensor: string, rows?: readonly number[], plus?: 1]>;
  spec: Partial<DecoderSpec>;
}

// Width 8, 4 heads of size 2, feed-forward 6, vocabulary 5, two layers.
const LLAMA_LAYER: Record<string, [name: string, shape: Shape]> = {
  attentionNorm: ["input_layernorm", [8]],
  q: ["self_attn.q_proj", [8, 8]],
  k: ["self_attn.k_proj", [4, 8]],
  v: ["self_attn.v_proj", [4, 8]],
  o: ["self_attn.o_proj", [8, 8]],
  mlpNorm: ["post_attention_layernorm", [8]],
  gate: ["mlp.gate_proj", [6, 8]],
  up: ["mlp.up_proj", [6, 8]],
  down: ["mlp.down_proj", [8, 6]],
};
const SIZES = {
  ...{ hidden_size: 8, intermediate_size: 6, num_hidden_layers: 2, num_attention_heads: 4 },
  ...{ num_key_value_heads: 2, vocab_size: 5, max_position_embeddings: 16 },
};
const SPEC = {
  ...{ vocabSize: 5, dim: 8, hiddenDim: 6, numHeads: 4, numKvHeads: 2, headDim: 2 },
  ...{ contextLen: 16, isGated: true, isParallel: false },
};

/** Tensors and weights of a model whose tensors are not fused. */
function llamaLike(
  prefix: string,
  layer: Record<string, [name: string, shape: Shape]>,
  { biased = [] as string[], plus = undefined as 1 | undefined } = {},
): Pick<Tiny, "tensors" | "weights"> {
  const tensors: Tiny["tensors"] = {};
  const weights: Tiny["weights"] = {};
  const add = (own: string, name: string, shape: Shape) => {
    tensors[name] = shape;
    weights[own] = own.includes("Norm") && plus ? [name, undefined, plus] : [name];
  };
  add("embedding.weight", `${prefix}embed_tokens.weight`, [5, 8]);
  for (const n of [0, 1]) {
    for (const [part, [name, shape]] of Object.entries(layer)) {
      add(`layers.${n}.${part}.weight`, `${prefix}layers.${n}.${name}.weight`, shape);
      if (biased.includes(part)) {
        add(`layers.${n}.${part}.bias`, `${prefix}layers.${n}.${name}.bias`, [shape[0]]);
      }
    }
  }
  add("finalNorm.weight", `${prefix}norm.weight`, [8]);
  return { tensors, weights };
}

function llamaTiny(): Tiny {
  const { tensors, weights } = llamaLike("model.", LLAMA_LAYER);
  tensors["lm_head.weight"] = [5, 8];
  weights["classifier.weight"] = ["lm_head.weight"];
  // Frequencies that old programs saved are no weights.
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = [1];
  const rope = { style: "halves", base: 500 } as const;
  return {
    ...{ name: "llama", tensors, weights },
    config: { model_type: "llama", ...SIZES, rope_theta: 500, hidden_act: "silu" },
    spec: {
      ...SPEC,
      ...{ layers: [{ rope, window: undefined }, { rope, window: undefined }] },
      ...{ norm: { kind: "rms", eps: 1e-6 }, activation: "silu" },
    },
  };
}

function mistralTiny(): Tiny {
  const rope = { style: "halves", base: 10000 } as const;
  return {
    name: "mistral with biases, tied, saved without its head",
    ...llamaLike("", LLAMA_LAYER, { biased: ["q", "k", "v", "o"] }),
    config: {
      ...{ model_type: "mistral", ...SIZES, sliding_window: 3, rms_norm_eps: 1e-5 },
      ...{ attention_bias: true, tie_word_embeddings: true },
    },
    spec: {
      ...SPEC,
      ...{ layers: [{ rope, window: 3 }, { rope, window: 3 }] },
      norm: { kind: "rms", eps: 1e-5 },
    },
  };
}

function gemmaTiny(): Tiny {
  return {
    name: "gemma",
    ...llamaLike("model.", LLAMA_LAYER, { plus: 1 }),
    config: { model_type: "gemma", ...SIZES, head_dim: 2, hidden_act: "gelu" },
    spec: { ...SPEC, activation: "geluTanh", embeddingScale: Math.sqrt(8) },
  };
}

function gemma3Tiny(prefix: string, isInner: boolean): Tiny {
  const layer = {
    ...LLAMA_LAYER,
    qNorm: ["self_attn.q_norm", [2]] as [string, Shape],
    kNorm: ["self_attn.k_norm", [2]] as [string, Shape],
    postAttentionNorm: ["post_attention_layernorm", [8]] as [string, Shape],
    mlpNorm: ["pre_feedforward_layernorm", [8]] as [string, Shape],
    postMlpNorm: ["post_feedforward_layernorm", [8]] as [string, Shape],
  };
  const text = {
    ...{ model_type: "gemma3_text", ...SIZES, head_dim: 2, sliding_window: 3 },
    ...{ sliding_window_pattern: 2, query_pre_attn_scalar: 25 },
    rope_scaling: { rope_type: "linear", factor: 8 },
  };
  const { tensors, weights } = llamaLike(prefix, layer, { plus: 1 });
  if (isInner) tensors["vision_tower.patch.weight"] = [3];
  return {
    name: `gemma3 as ${prefix}`,
    ...{ tensors, weights },
    config: isInner ? { model_type: "gemma3", text_config: text } : text,
    spec: {
      ...SPEC,
      layers: [
        { rope: { style: "halves", base: 10000 }, window: 3 },
        { rope: { style: "halves", frequencies: [1 / 8] } },
      ],
      ...{ scale: 1 / 5, embeddingScale: Math.sqrt(8), activation: "geluTanh" },
    },
  };
}

/** Tensors and weights of a model whose layers are those of GPT-2 and its heirs. */
function gptLike(
  names: Record<"embedding" | "qkv" | "o" | "up" | "down" | "finalNorm", string>,
  { norms, heads, kvHeads, rows, hasBias }: {
    norms: Record<string, string>;
    heads: number;
    kvHeads: number;
    /** Which heads of the fused tensor are queries, keys and values. */
    rows: Record<"q" | "k" | "v", number[]>;
    hasBias: boolean;
  },
): Pick<Tiny, "tensors" | "weights"> {
  const tensors: Tiny["tensors"] = { [`transformer.${names.embedding}.weight`]: [5, 8] };
  const weights: Tiny["weights"] = {
    "embedding.weight": [`transformer.${names.embedding}.weight`],
  };
  const size = 8 / heads;
  const add = (own: string, name: string, shape: Shape, isBiased = hasBias, rows?: number[]) => {
    for (const kind of isBiased ? ["weight", "bias"] : ["weight"]) {
      tensors[`${name}.${kind}`] = kind === "weight" ? shape : [shape[0]];
      weights[`${own}.${kind}`] = [`${name}.${kind}`, rows];
    }
  };
  for (const n of [0, 1]) {
    const [own, file] = [`layers.${n}.`, `transformer.h.${n}.`];
    for (const [norm, name] of Object.entries(norms)) add(own + norm, file + name, [8], true);
    for (const part of ["q", "k", "v"] as const) {
      const elements = rows[part].flatMap((head) =>
        Array.from({ length: size }, (_, i) => head * size + i)
      );
      add(own + part, file + names.qkv, [(heads + 2 * kvHeads) * size, 8], hasBias, elements);
    }
    add(`${own}o`, file + names.o, [8, 8]);
    add(`${own}up`, file + names.up, [6, 8]);
    add(`${own}down`, file + names.down, [8, 6]);
  }
  add("finalNorm", `transformer.${names.finalNorm}`, [8], true);
  return { tensors, weights };
}

const GPT_NAMES = {
  ...{ embedding: "wte", qkv: "attn.c_attn", o: "attn.c_proj" },
  ...{ up: "mlp.c_fc", down: "mlp.c_proj", finalNorm: "ln_f" },
};
const FALCON_NAMES = {
  ...{ embedding: "word_embeddings", qkv: "self_attention.query_key_value" },
  ...{ o: "self_attention.dense", up: "mlp.dense_h_to_4h", down: "mlp.dense_4h_to_h" },
  finalNorm: "ln_f",
};
const ONE_KV_HEAD = { q: [0, 1, 2, 3], k: [4], v: [5] };
const EACH_ITS_OWN = { q: [0, 3, 6, 9], k: [1, 4, 7, 10], v: [2, 5, 8, 11] };

function bigCodeTiny(isMultiQuery: boolean): Tiny {
  const { tensors, weights } = gptLike(GPT_NAMES, {
    norms: { attentionNorm: "ln_1", mlpNorm: "ln_2" },
    ...{ heads: 4, kvHeads: isMultiQuery ? 1 : 4, hasBias: true },
    rows: isMultiQuery ? ONE_KV_HEAD : EACH_ITS_OWN,
  });
  tensors["transformer.wpe.weight"] = [16, 8];
  weights["positions.weight"] = ["transformer.wpe.weight"];
  tensors["transformer.h.1.attn.bias"] = [1, 1, 3, 3];
  return {
    name: `gpt_bigcode with ${isMultiQuery ? "one KV head" : "all KV heads"}`,
    ...{ tensors, weights },
    config: {
      ...{ model_type: "gpt_bigcode", n_embd: 8, n_head: 4, n_layer: 2, n_inner: 6 },
      ...{ n_positions: 16, vocab_size: 5, multi_query: isMultiQuery },
      ...{ activation_function: "gelu_pytorch_tanh", layer_norm_epsilon: 1e-5 },
    },
    spec: {
      ...{ ...SPEC, numKvHeads: isMultiQuery ? 1 : 4, isGated: false, layers: [{}, {}] },
      ...{ norm: { kind: "layer", eps: 1e-5 }, activation: "geluTanh", scale: undefined },
    },
  };
}

const FALCON = {
  ...{ model_type: "falcon", hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 4 },
  ...{ vocab_size: 5, ffn_hidden_size: 6, max_position_embeddings: 16 },
};

/** The fields of Falcon's first files. */
const FIRST_FALCON = {
  ...{ hidden_size: 8, n_layer: 2, n_head: 4, vocab_size: 5, ffn_hidden_size: 6 },
  ...{ max_position_embeddings: 16, parallel_attn: true, bias: false, alibi: false },
};

function falconTinies(): Tiny[] {
  const rope = { style: "halves", base: 10000 } as const;
  const spec: Partial<DecoderSpec> = {
    ...{ ...SPEC, isGated: false, isParallel: true, layers: [{ rope }, { rope }] },
    ...{ norm: { kind: "layer", eps: 1e-5 }, activation: "gelu", alibiSlopes: undefined },
  };
  const sizes = { heads: 4, kvHeads: 1, hasBias: false };
  return [
    {
      name: "falcon 7B",
      config: { ...FALCON, multi_query: true, num_kv_heads: 4, new_decoder_architecture: false },
      ...gptLike(FALCON_NAMES, {
        ...{ ...sizes, norms: { attentionNorm: "input_layernorm" }, rows: ONE_KV_HEAD },
      }),
      spec: { ...spec, numKvHeads: 1 },
    },
    {
      name: "falcon 7B under its first name",
      config: { ...FIRST_FALCON, model_type: "RefinedWebModel", multi_query: true },
      ...gptLike(FALCON_NAMES, {
        ...{ ...sizes, norms: { attentionNorm: "input_layernorm" }, rows: ONE_KV_HEAD },
      }),
      spec: { ...spec, numKvHeads: 1 },
    },
    {
      name: "falcon 40B under its first name",
      config: { ...FIRST_FALCON, model_type: "RefinedWeb", n_head_kv: 2 },
      ...gptLike(FALCON_NAMES, {
        ...{ ...sizes, kvHeads: 2, norms: { attentionNorm: "ln_attn", mlpNorm: "ln_mlp" } },
        rows: { q: [0, 1, 4, 5], k: [2, 6], v: [3, 7] },
      }),
      spec,
    },
    {
      name: "falcon 40B",
      config: { ...FALCON, num_kv_heads: 2, new_decoder_architecture: true },
      ...gptLike(FALCON_NAMES, {
        ...{ ...sizes, kvHeads: 2, norms: { attentionNorm: "ln_attn", mlpNorm: "ln_mlp" } },
        rows: { q: [0, 1, 4, 5], k: [2, 6], v: [3, 7] },
      }),
      spec,
    },
    {
      name: "falcon 11B",
      config: {
        ...{ ...FALCON, num_kv_heads: 2, new_decoder_architecture: true },
        num_ln_in_parallel_attn: 1,
      },
      ...gptLike(FALCON_NAMES, {
        ...{ ...sizes, kvHeads: 2, norms: { attentionNorm: "input_layernorm" } },
        rows: { q: [0, 1, 4, 5], k: [2, 6], v: [3, 7] },
      }),
      spec,
    },
    {
      name: "falcon RW 1B",
      config: {
        ...{ ...FALCON, alibi: true, bias: true, multi_query: false, parallel_attn: false },
      },
      ...gptLike(FALCON_NAMES, {
        ...{ ...sizes, kvHeads: 4, hasBias: true, rows: EACH_ITS_OWN },
        norms: { attentionNorm: "input_layernorm", mlpNorm: "post_attention_layernorm" },
      }),
      spec: {
        ...{ ...spec, numKvHeads: 4, isParallel: false, layers: [{}, {}] },
        alibiSlopes: [1 / 4, 1 / 16, 1 / 64, 1 / 256].map((slope) => slope / Math.SQRT2),
      },
    },
  ];
}

const TINIES = [
  ...[llamaTiny(), mistralTiny(), gemmaTiny()],
  ...[gemma3Tiny("model.", false), gemma3Tiny("language_model.model.", true)],
  gemma3Tiny("model.language_model.", true),
  ...[bigCodeTiny(true), bigCodeTiny(false), ...falconTinies()],
];

function randomTensors(random: Random, shapes: Tiny["tensors"]): Record<string, WeightData> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, random.tensor(shape)]),
  );
}

/** A number as an element type holds it. */
function rounded(value: number, dtype: FloatDtype): number {
  if (dtype === "F16") return Math.f16round(value);
  if (dtype === "F32") return value;
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  view.setUint16(2, 0);
  return view.getFloat32(0);
}

for (const tiny of TINIES) {
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    testRandomly(
      `${tiny.name}: every weight of a ${dtype} file is in its place`,
      async (random) => {
        const tensors = randomTensors(random, tiny.tensors);
        const files = {
          "config.json": JSON.stringify(tiny.config),
          "model.safetensors": safetensors(tensors, dtype),
        };
        await inFolder(files, async (folder) => {
          const { spec, weights, close } = await openCheckpoint(folder);
          for (const [field, value] of Object.entries(tiny.spec)) {
            assertEquals(spec[field as keyof DecoderSpec] as unknown, value, field);
          }
          for (const [name, [tensor, rows, plus = 0]] of Object.entries(tiny.weights)) {
            assert(weights.has(name), name);
            const { data, shape } = await weights.read(name);
            const { data: all, shape: [count, columns = 1] } = tensors[tensor];
            const chosen = rows ?? Array.from({ length: count }, (_, i) => i);
            const expected = chosen.flatMap((row) => [
              ...all.subarray(row * columns, (row + 1) * columns),
            ]);
            assertEquals(shape, [chosen.length, ...tensors[tensor].shape.slice(1)], name);
            assertEquals(
              [...data],
              expected.map((value) => Math.fround(rounded(value, dtype) + plus)),
              name,
            );
          }
          // Nothing else is there: no bias, no norm, no classifier.
          const parts = [
            "attentionNorm",
            "mlpNorm",
            "qNorm",
            "postMlpNorm",
            "q",
            "o",
            "gate",
            "up",
          ];
          const names = parts.flatMap((
            part,
          ) => [`layers.1.${part}.weight`, `layers.1.${part}.bias`]);
          for (
            const name of [...names, "positions.weight", "classifier.weight", "layers.2.q.weight"]
          ) {
            assertEquals(weights.has(name), name in tiny.weights, name);
          }
          await assertRejects(
            () => weights.read("layers.9.q.weight"),
            CheckpointError,
            "layers.9.q",
          );
          await close();
        });
      },
    );
  }
}

testRandomly("a sharded checkpoint is what it is in one file", async (random) => {
  const tiny = bigCodeTiny(true);
  const tensors = randomTensors(random, tiny.tensors);
  const names = Object.keys(tensors);
  const shardOf = Object.fromEntries(
    names.map((name) => [name, `${random.integer(1, 3)}.safetensors`]),
  );
  const shards = Object.fromEntries(["1", "2", "3"].map((n) => {
    const own = names.filter((name) => shardOf[name] === `${n}.safetensors`);
    return [
      `${n}.safetensors`,
      safetensors(Object.fromEntries(own.map((it) => [it, tensors[it]]))),
    ];
  }));
  const files = {
    ...shards,
    "config.json": JSON.stringify(tiny.config),
    "model.safetensors.index.json": JSON.stringify({ weight_map: shardOf }),
  };
  await inFolder(files, async (folder) => {
    for (const path of [folder, `${folder}/model.safetensors.index.json`]) {
      const { weights, close } = await openCheckpoint(path);
      const { data } = await weights.read("layers.1.o.weight");
      assertEquals(data, tensors["transformer.h.1.attn.c_proj.weight"].data);
      const { data: k } = await weights.read("layers.0.k.weight");
      assertEquals(k, tensors["transformer.h.0.attn.c_attn.weight"].data.slice(64, 80));
      await close();
    }
    await Deno.truncate(`${folder}/2.safetensors`, 100);
    await assertRejects(() => openCheckpoint(folder), CheckpointError, `${folder}/2.safetensors`);
    await Deno.remove(`${folder}/2.safetensors`);
    await assertRejects(() => openCheckpoint(folder), CheckpointError, `${folder}/2.safetensors`);
    await Deno.remove(`${folder}/config.json`);
    await assertRejects(() => openCheckpoint(folder), CheckpointError, `${folder}/config.json`);
  });
});

testRandomly("tensors that do not fit the configuration are refused, by name", async (random) => {
  const { config, tensors } = llamaTiny();
  const q = "model.layers.1.self_attn.q_proj";
  const wrong: [tensors: Tiny["tensors"], config: unknown, says: string][] = [
    [{ ...tensors, [`${q}.weight`]: [8, 4] }, config, `${q}.weight`],
    [{ ...tensors, [`${q}.weight`]: [8, 4] }, config, "needed=[8, 8], shape=[8, 4]"],
    [{ ...tensors, [`${q}.bias`]: [8] }, config, `"${q}.bias"`],
    [{ ...tensors, "model.layers.2.mlp.up_proj.weight": [6, 8] }, config, "layers.2.mlp.up_proj"],
    [tensors, { ...config, num_hidden_layers: 3 }, "layers.2.input_layernorm.weight"],
    [tensors, { ...config, num_key_value_heads: 4 }, "k_proj"],
    [tensors, { ...config, attention_bias: true }, "q_proj.bias"],
    [{ "model.norm.weight": [8] }, config, "model.embed_tokens.weight or embed_tokens.weight"],
    [without(tensors, "lm_head.weight"), config, '"lm_head.weight"'],
    [without(tensors, "model.norm.weight"), config, '"model.norm.weight"'],
  ];
  for (const [tensors, config, says] of wrong) {
    const files = {
      "config.json": JSON.stringify(config),
      "model.safetensors": safetensors(randomTensors(random, tensors)),
    };
    await inFolder(files, async (folder) => {
      const { message } = await assertRejects(() => openCheckpoint(folder), CheckpointError, says);
      assert(message.includes(`${folder}/model.safetensors`), message);
    });
  }
});

function without(tensors: Tiny["tensors"], name: string): Tiny["tensors"] {
  const { [name]: _, ...rest } = tensors;
  return rest;
}

testRandomly("withPooledKvHeads() pools keys and values, and nothing else", async (random) => {
  const tiny = mistralTiny();
  const tensors = randomTensors(random, tiny.tensors);
  const files = {
    "config.json": JSON.stringify(tiny.config),
    "model.safetensors": safetensors(tensors),
  };
  await inFolder(files, async (folder) => {
    const checkpoint = await openCheckpoint(folder);
    const { spec, weights, close } = withPooledKvHeads(checkpoint, { kvHeads: 1 });
    assertEquals(spec, { ...checkpoint.spec, numKvHeads: 1 });
    for (const name of Object.keys(tiny.weights)) {
      assert(weights.has(name));
      const [own, pooled] = [await checkpoint.weights.read(name), await weights.read(name)];
      const isKv = /layers\.[01]\.[kv]\./.test(name);
      const { data, shape } = own;
      const expected = isKv ? Float32Array.from(poolKvHeads(data, { from: 2, to: 1 })) : data;
      assertEquals(pooled, {
        data: expected,
        shape: isKv ? [shape[0] / 2, ...shape.slice(1)] : shape,
      }, name);
    }
    const first = withPooledKvHeads(checkpoint, { kvHeads: 1, method: "first" });
    assertEquals(
      (await first.weights.read("layers.1.v.bias")).data,
      tensors["layers.1.self_attn.v_proj.bias"].data.slice(0, 2),
    );
    assertThrows(() => withPooledKvHeads(checkpoint, { kvHeads: 3 }), RangeError, "from=2, to=3");
    assertThrows(() => withPooledKvHeads(checkpoint, { kvHeads: 0 }), RangeError, "to=0");
    await close();
  });
});
