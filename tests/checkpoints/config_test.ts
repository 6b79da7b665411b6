// config.json: the shapes of published models, and what is refused.
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { CheckpointError, parseDecoderConfig } from "../../src/checkpoints/mod.ts";
import { testRandomly } from "../support/random.ts";

const parse = (config: unknown) => parseDecoderConfig(JSON.stringify(config), "config.json");

const LLAMA_3 = {
  ...{ model_type: "llama", hidden_size: 4096, intermediate_size: 14336, hidden_act: "silu" },
  ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
  ...{ vocab_size: 128256, max_position_embeddings: 131072, rms_norm_eps: 1e-5 },
  ...{ rope_theta: 500000, attention_bias: false, mlp_bias: false, tie_word_embeddings: false },
  rope_scaling: {
    ...{ rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
    original_max_position_embeddings: 8192,
  },
  // What says nothing of the shape.
  ...{ architectures: ["LlamaForCausalLM"], torch_dtype: "bfloat16", pretraining_tp: 1 },
};

Deno.test("Llama 3's frequencies: short waves stay, long ones are divided, between them a path", () => {
  const { headDim, layers } = parse(LLAMA_3);
  assertEquals([headDim, layers.length, layers[0].window], [128, 32, undefined]);
  const frequencies = layers[31].rope!.frequencies as readonly number[];
  assertEquals(frequencies.length, 64);
  frequencies.forEach((frequency, pair) => {
    const plain = 500000 ** (-pair / 64);
    const wave = 2 * Math.PI / plain;
    if (wave < 8192 / 4) assertEquals(frequency, plain);
    else if (wave > 8192) assertAlmostEquals(frequency, plain / 8, 1e-15);
    else assert(frequency > plain / 8 && frequency < plain);
  });
  // Pair 30 has a wave of 2954 tokens: (8192 / 2954 - 1) / 3 of the way.
  const plain = 500000 ** (-30 / 64);
  const share = (8192 * plain / (2 * Math.PI) - 1) / 3;
  assertAlmostEquals(frequencies[30], (1 - share) * plain / 8 + share * plain, 1e-15);
});

const GEMMA_3_1B = {
  ...{ model_type: "gemma3_text", hidden_size: 1152, intermediate_size: 6912, head_dim: 256 },
  ...{ num_hidden_layers: 26, num_attention_heads: 4, num_key_value_heads: 1 },
  ...{ vocab_size: 262144, max_position_embeddings: 32768, sliding_window: 512 },
  ...{ sliding_window_pattern: 6, rope_theta: 1000000, rope_local_base_freq: 10000 },
  ...{ query_pre_attn_scalar: 256, rms_norm_eps: 1e-6, hidden_activation: "gelu_pytorch_tanh" },
  ...{ attn_logit_softcapping: null, final_logit_softcapping: null, rope_scaling: null },
};

Deno.test("Gemma 3 1B: windows in five of six layers, each kind with positions of its own", () => {
  const spec = parse(GEMMA_3_1B);
  assertEquals([spec.numHeads, spec.numKvHeads, spec.headDim, spec.scale], [4, 1, 256, 1 / 16]);
  spec.layers.forEach((layer, n) => {
    const isGlobal = n % 6 === 5;
    assertEquals(layer.window, isGlobal ? undefined : 512);
    assertEquals(layer.rope, { style: "halves", base: isGlobal ? 1e6 : 1e4 });
  });
  const types = spec.layers.map(({ window }) => window ? "sliding_attention" : "full_attention");
  const { sliding_window_pattern: _, ...rest } = GEMMA_3_1B;
  assertEquals(parse(rest), spec);
  assertEquals(parse({ ...rest, layer_types: types }), spec);
  const [first, ...others] = types;
  assertEquals(parse({ ...rest, layer_types: [...others, first] }).layers[4].window, undefined);
  const rope_parameters = {
    full_attention: { rope_type: "default", rope_theta: 1000000 },
    sliding_attention: { rope_type: "default", rope_theta: 10000 },
  };
  const { rope_theta: _t, rope_local_base_freq: _b, ...without } = rest;
  assertEquals(parse({ ...without, rope_parameters }), spec);
});

Deno.test("Gemma 3 4B: the fields that its file leaves out", () => {
  const spec = parse({
    model_type: "gemma3",
    text_config: {
      ...{ model_type: "gemma3_text", hidden_size: 2560, intermediate_size: 10240 },
      ...{ num_hidden_layers: 34, sliding_window: 1024 },
      rope_scaling: { factor: 8, rope_type: "linear" },
    },
    vision_config: { hidden_size: 1152, num_hidden_layers: 27 },
  });
  assertEquals([spec.numHeads, spec.numKvHeads, spec.headDim], [8, 4, 256]);
  assertEquals([spec.dim, spec.layers.length, spec.vocabSize], [2560, 34, 262208]);
  assertEquals(spec.layers[0], { rope: { style: "halves", base: 10000 }, window: 1024 });
  const { frequencies } = spec.layers[5].rope!;
  assertEquals((frequencies as number[])[1], 1e6 ** (-1 / 128) / 8);
});

Deno.test("Mistral, StarCoder, SantaCoder, Falcon and Gemma, as their repositories have them", () => {
  const { rope_scaling: _, ...mistral } = { ...LLAMA_3, model_type: "mistral" };
  assertEquals(parse({ ...mistral, sliding_window: 4096 }).layers[3].window, 4096);
  assertEquals(parse({ ...mistral, sliding_window: null }).layers[3].window, undefined);
  assertEquals(parse(mistral).layers[3].window, 4096);

  const starCoder = {
    ...{ model_type: "gpt_bigcode", n_embd: 6144, n_head: 48, n_layer: 40, n_inner: 24576 },
    ...{ n_positions: 8192, vocab_size: 49152, multi_query: true, scale_attn_weights: true },
    ...{ activation_function: "gelu_pytorch_tanh", attention_softmax_in_fp32: true },
    ...{ scale_attention_softmax_in_fp32: true, layer_norm_epsilon: 1e-5 },
  };
  const { headDim, numKvHeads, contextLen, hiddenDim, layers, scale } = parse(starCoder);
  assertEquals([headDim, numKvHeads, contextLen, hiddenDim], [128, 1, 8192, 24576]);
  assertEquals([layers[0].rope, scale], [undefined, undefined]);
  assertEquals(parse({ ...starCoder, scale_attn_weights: false }).scale, 1);
  const santaCoder = { ...starCoder, n_embd: 2048, n_head: 16, n_inner: null };
  assertEquals(parse({ ...santaCoder, activation_function: "gelu_fast" }).hiddenDim, 8192);

  const falcon = {
    ...{ model_type: "falcon", hidden_size: 4544, num_attention_heads: 71, num_kv_heads: 71 },
    ...{ num_hidden_layers: 32, multi_query: true, new_decoder_architecture: false },
    ...{ parallel_attn: true, bias: false, alibi: false, vocab_size: 65024 },
  };
  const small = parse(falcon);
  assertEquals([small.headDim, small.numKvHeads, small.hiddenDim], [64, 1, 18176]);
  assertEquals([small.isParallel, small.contextLen, small.activation], [true, 2048, "gelu"]);
  const large = parse({
    ...{ ...falcon, hidden_size: 8192, num_attention_heads: 128, num_kv_heads: 8 },
    ...{ num_hidden_layers: 60, new_decoder_architecture: true },
  });
  assertEquals([large.headDim, large.numKvHeads, large.layers.length], [64, 8, 60]);
  assertEquals(parse({ ...falcon, alibi: true }).layers[0], {});

  const gemma = {
    ...{ model_type: "gemma", hidden_size: 2048, intermediate_size: 16384, head_dim: 256 },
    ...{ num_hidden_layers: 18, num_attention_heads: 8, num_key_value_heads: 1 },
    ...{ vocab_size: 256000, max_position_embeddings: 8192, hidden_act: "gelu" },
    hidden_activation: null,
  };
  const { numHeads, embeddingScale, activation } = parse(gemma);
  assertEquals([numHeads, embeddingScale, activation], [8, Math.sqrt(2048), "geluTanh"]);
  assertEquals(parse({ ...gemma, hidden_activation: "gelu" }).activation, "gelu");
});

Deno.test("ALiBi's slopes for numbers of heads that are no power of two", () => {
  const falcon = { model_type: "falcon", hidden_size: 12, vocab_size: 5, num_hidden_layers: 1 };
  const slopes = (heads: number) =>
    parse({ ...falcon, num_attention_heads: heads, alibi: true }).alibiSlopes!
      .map((slope) => Math.log2(slope * Math.sqrt(12 / heads)));
  const close = (actual: number[], expected: number[]) => {
    assertEquals(actual.length, expected.length);
    actual.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-9));
  };
  close(slopes(4), [-2, -4, -6, -8]);
  close(slopes(6), [-2, -4, -6, -8, -1, -3]);
  close(slopes(3), [-4, -8, -2]);
  close(slopes(1), [-8]);
});

const FALCON = {
  ...{ model_type: "falcon", hidden_size: 8, num_attention_heads: 4, num_hidden_layers: 1 },
  vocab_size: 5,
};
const BIG_CODE = {
  ...{ model_type: "gpt_bigcode", n_embd: 8, n_head: 4, n_layer: 1, n_positions: 4, vocab_size: 5 },
};

/** What is refused, and what the message must say. */
const WRONG: [config: unknown, says: string][] = [
  [[], "value=[]"],
  [{}, '"model_type" is missing'],
  [{ ...LLAMA_3, model_type: "mamba" }, 'model_type="mamba"'],
  [{ ...LLAMA_3, model_type: "constructor" }, 'model_type="constructor"'],
  [{ ...LLAMA_3, hidden_act: "relu" }, 'hidden_act="relu"'],
  [{ ...LLAMA_3, mlp_bias: true }, "mlp_bias=true"],
  [{ ...LLAMA_3, attention_bias: 1 }, "attention_bias=1"],
  [{ ...LLAMA_3, sliding_window: 4096 }, "sliding_window=4096"],
  [{ ...LLAMA_3, quantization_config: { bits: 4 } }, 'quantization_config={"bits":4}'],
  [{ ...LLAMA_3, rms_norm_eps: 0 }, "rms_norm_eps=0"],
  [{ ...BIG_CODE, n_positions: 0 }, "n_positions=0"],
  [{ ...BIG_CODE, n_embd: 8, hidden_size: 16 }, "are one field and must agree"],
  [{ ...LLAMA_3, hidden_size: 0 }, "hidden_size=0"],
  [{ ...LLAMA_3, hidden_size: 4097 }, "headDim=128.03125"],
  [{ ...LLAMA_3, head_dim: 127 }, "headDim=127"],
  [{ ...LLAMA_3, num_key_value_heads: 5 }, "numKvHeads=5"],
  [{ ...LLAMA_3, num_hidden_layers: 1e9 }, "num_hidden_layers=1000000000"],
  [{ ...LLAMA_3, head_dim: 2 ** 40 }, "head_dim=1099511627776"],
  [{ ...LLAMA_3, num_attention_heads: 2 ** 40 }, "num_attention_heads=1099511627776"],
  [{ ...GEMMA_3_1B, final_logit_softcapping: 30 }, "final_logit_softcapping=30"],
  [{ ...GEMMA_3_1B, attn_logit_softcapping: 50 }, "attn_logit_softcapping=50"],
  [{ ...GEMMA_3_1B, use_bidirectional_attention: true }, "use_bidirectional_attention=true"],
  [{ ...GEMMA_3_1B, layer_types: ["full_attention"] }, '"layer_types" must be 26 of'],
  [{ ...GEMMA_3_1B, layer_types: Array(26).fill("chunked") }, 'layer_types=["chunked"'],
  [{ ...BIG_CODE, add_cross_attention: true }, "add_cross_attention=true"],
  [{ ...BIG_CODE, n_embd: 9 }, "headDim=2.25"],
  [{ ...BIG_CODE, multi_query: "yes" }, 'multi_query="yes"'],
  [{ ...FALCON, num_ln_in_parallel_attn: 2 }, "num_ln_in_parallel_attn=2"],
  [
    { ...FALCON, new_decoder_architecture: true, parallel_attn: false },
    "parallel_attn=false",
  ],
  [{ ...FALCON, multi_query: false, num_kv_heads: 2 }, "num_kv_heads=2"],
];

Deno.test("what the decoder lacks and what makes no sense is refused, by field and value", () => {
  for (const [config, says] of WRONG) {
    const { message } = assertThrows(() => parse(config), CheckpointError, says);
    assert(message.startsWith("Cannot read config.json as "), message);
  }
});

testRandomly("a config.json with random bytes is a decoder, or refused", (random) => {
  let refused = 0;
  const texts = [LLAMA_3, GEMMA_3_1B, BIG_CODE, FALCON].map((config) => JSON.stringify(config));
  for (let round = 0; round < 1000; round++) {
    const text = [...random.pick(texts)];
    for (let flips = random.integer(1, 3); flips > 0; flips--) {
      text[random.integer(0, text.length - 1)] = random.pick([...'0123456789-.,:{}[]"eaxT\u0000']);
    }
    try {
      const spec = parseDecoderConfig(text.join(""), "config.json");
      assert(Number.isInteger(spec.headDim) && spec.layers.length > 0);
    } catch (error) {
      assert(error instanceof CheckpointError, `${text.join("")}: ${error}`);
      refused++;
    }
  }
  assert(refused > 100 && refused < 1000, `${refused} refused`);
});

Deno.test("text_config counts, whatever stands beside it at the top level", () => {
  const text = { ...GEMMA_3_1B };
  const outer = Object.fromEntries(
    Object.entries(text).map(([field, value]) => [field, typeof value === "number" ? 7 : value]),
  );
  const nested = parse({ ...outer, model_type: "gemma3", text_config: text });
  assertEquals(nested, parse(text));
  // Only what ties the ends of the model may also stand at the top.
  assertEquals(
    parse({ ...outer, model_type: "gemma3", text_config: {} }),
    parse({ model_type: "gemma3_text" }),
  );
});
