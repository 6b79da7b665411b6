// Models from config.json: published ones and presets, what absent fields and nulls mean, and what is refused.
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { CheckpointError, kvCacheBytes } from "../../../mod.ts";
import { parseConfig } from "../../../cli/shared/model_config.ts";
import { type Model, ownCache, touchedParameters } from "../../../cli/shared/preset.ts";
import { MODELS } from "../../../cli/shared/presets.ts";
import { MODEL_TYPES } from "../../../src/checkpoints/model_types/mod.ts";
import { type DecoderSpec, parseDecoderConfig } from "../../../src/checkpoints/mod.ts";
import { testRandomly } from "../../support/random.ts";
import { PRESET_CACHES, PUBLIC_MODELS } from "./public_models.ts";

const parse = (config: unknown) => parseConfig(JSON.stringify(config), "config.json");

/** Bytes of keys and values in f16 for one token, and for 8192. */
const cacheOf = (model: Model) =>
  [1, 8192].map((contextLen) => kvCacheBytes(ownCache(model), { contextLen }));

/** Only matrices are counted: norms and biases are less than one in a thousand. */
function assertCounted(counted: number, parameters: number, name: string): void {
  const share = counted / parameters;
  assert(share > 0.999 && share <= 1, `${name}: ${share}`);
}

for (const { name, config, parameters, cache } of PUBLIC_MODELS) {
  Deno.test(`config.json of ${name}: parameters and cache are those of its class`, () => {
    const model = parse(config);
    assertCounted(model.parameters, parameters, name);
    assertEquals(cacheOf(model), cache);
    assertEquals(model.isAssumed, undefined);
  });
}

Deno.test("presets: caches are those of their classes", () => {
  assertEquals(MODELS.map(({ name }) => name).toSorted(), Object.keys(PRESET_CACHES).toSorted());
  for (const model of MODELS) assertEquals(cacheOf(model), PRESET_CACHES[model.name], model.name);
});

/** Parameters, and bytes of a cache of 8192 tokens in f16, of transformers' classes (5.18.0) without any argument. */
const DEFAULTS: Readonly<Record<string, [parameters: number, cache8k: number]>> = {
  gpt2: [124_439_808, 301_989_888],
  gpt_bigcode: [111_446_784, 25_165_824],
  gpt_neox: [20_554_567_680, 8_858_370_048],
  gptj: [6_050_882_784, 3_758_096_384],
  opt: [125_239_296, 301_989_888],
  bloom: [16_156_544, 4_194_304],
  mpt: [1_311_213_568, 1_610_612_736],
  falcon: [6_921_720_704, 67_108_864],
  llama: [6_738_415_616, 4_294_967_296],
  gemma: [8_537_680_896, 3_758_096_384],
  granite: [6_738_415_616, 4_294_967_296],
  olmo: [6_888_095_744, 4_294_967_296],
  olmo2: [6_888_624_128, 4_294_967_296],
  stablelm: [2_795_443_200, 2_684_354_560],
  cohere: [34_980_831_232, 10_737_418_240],
  glm: [9_399_951_360, 335_544_320],
  glm4: [9_400_279_040, 335_544_320],
  seed_oss: [28_921_040_896, 2_147_483_648],
  phi: [1_418_270_720, 1_610_612_736],
  arcee: [4_022_766_080, 2_684_354_560],
  apertus: [6_979_596_352, 4_294_967_296],
  mistral: [7_241_732_096, 536_870_912],
  ministral: [7_241_732_096, 536_870_912],
  ministral3: [8_489_553_920, 1_140_850_688],
  phi3: [3_821_079_552, 3_221_225_472],
  starcoder2: [3_030_371_328, 251_658_240],
  gemma2: [2_614_341_888, 654_311_424],
  gemma3_text: [2_628_658_432, 503_316_480],
  cohere2: [34_980_831_232, 6_710_886_400],
  exaone4: [9_429_069_824, 2_684_354_560],
  olmo3: [6_888_624_128, 2_684_354_560],
  qwen2: [12_049_846_272, 4_294_967_296],
  qwen3: [12_049_461_248, 4_294_967_296],
  smollm3: [3_075_098_624, 603_979_776],
  mixtral: [46_702_792_704, 1_073_741_824],
  phimoe: [41_872_793_600, 1_073_741_824],
  olmoe: [13_361_612_800, 1_073_741_824],
  granitemoe: [37_039_116_288, 4_294_967_296],
  gpt_oss: [116_829_156_672, 306_708_480],
  minimax_m2: [228_689_748_992, 2_080_374_784],
  qwen2_moe: [14_315_784_192, 1_610_612_736],
  qwen3_moe: [15_350_731_776, 201_326_592],
  deepseek_v3: [671_026_404_352, 575_668_224],
  minicpm3: [4_073_875_968, 292_552_704],
  lfm2: [2_705_497_600, 671_088_640],
  qwen3_next: [79_674_391_296, 201_326_592],
  jamba: [51_570_323_328, 134_217_728],
};

Deno.test("config.json that says its type alone is the model that the class has by default", () => {
  for (const [model_type, [parameters, cache]] of Object.entries(DEFAULTS)) {
    const model = parse({ model_type });
    assertCounted(model.parameters, parameters, model_type);
    assertEquals(cacheOf(model)[1], cache, model_type);
  }
  // The classes of these make no model by default, or one without a cache.
  const others = [
    ...["deepseek_v2", "glm4_moe", "granitemoehybrid", "nemotron"],
    ...["gemma3", "kimi_k2", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"],
    ...["RefinedWeb", "RefinedWebModel"],
  ];
  assertEquals(
    [...Object.keys(DEFAULTS), ...others].toSorted(),
    Object.keys(MODEL_TYPES).toSorted(),
  );
  assertThrows(
    () => parse({ model_type: "granitemoehybrid" }),
    RangeError,
    "no layer of config.json keeps keys and values",
  );
});

Deno.test("config.json where every field with a default is null, as where it has none", () => {
  for (const [model_type, { defaults, nullable = [], names = {} }] of Object.entries(MODEL_TYPES)) {
    const given = model_type === "deepseek_v2"
      ? { model_type, num_experts_per_tok: 6 }
      : { model_type, ...(model_type === "glm4_moe" ? { head_dim: 128 } : {}) };
    if (model_type === "granitemoehybrid") continue;
    const fields = Object.keys(defaults).filter((field) => !nullable.includes(field));
    const aliased = fields.flatMap((field) => [field, ...(names[field] ?? [])]);
    const nulls = Object.fromEntries(aliased.map((field) => [field, null]));
    assertEquals(parse({ ...nulls, ...given }), parse(given), model_type);
  }
});

/** Meanings of null by class: as many KV heads as heads, no window, a size that follows from others, or the default. */
const NULLS: [modelType: string, field: string, meaning: Partial<Model>][] = [
  ["mistral", "num_key_value_heads", { numKvHeads: 32 }],
  ["mistral", "sliding_window", { windowed: undefined }],
  ["ministral", "num_key_value_heads", { numKvHeads: 32 }],
  ["ministral", "sliding_window", { windowed: undefined }],
  ["ministral3", "num_key_value_heads", { numKvHeads: 32 }],
  ["mixtral", "num_key_value_heads", { numKvHeads: 32 }],
  ["phimoe", "num_key_value_heads", { numKvHeads: 32 }],
  ["gpt_oss", "num_key_value_heads", { numKvHeads: 64 }],
  ["gpt_oss", "head_dim", { headDim: 45 }],
  ["gpt_oss", "sliding_window", { windowed: undefined }],
  ["qwen2", "num_key_value_heads", { numKvHeads: 32 }],
  ["qwen3", "num_key_value_heads", { numKvHeads: 32 }],
  ["smollm3", "num_key_value_heads", { numKvHeads: 16 }],
  ["jamba", "num_key_value_heads", { numKvHeads: 32 }],
  ["gemma2", "sliding_window", { windowed: undefined }],
  ["gemma3_text", "sliding_window", { windowed: undefined }],
  ["cohere2", "sliding_window", { windowed: undefined }],
  ["exaone4", "sliding_window", { windowed: undefined }],
  ["olmo3", "sliding_window", { windowed: undefined }],
  ["glm", "head_dim", { headDim: 128 }],
  // Classes without a meaning of their own for null: it is the default.
  ["gemma", "num_key_value_heads", { numKvHeads: 16 }],
  ["gemma", "head_dim", { headDim: 256 }],
  ["qwen3", "head_dim", { headDim: 128 }],
  ["stablelm", "num_key_value_heads", { numKvHeads: 32 }],
  ["starcoder2", "num_key_value_heads", { numKvHeads: 2 }],
  ["llama", "num_key_value_heads", { numKvHeads: 32 }],
  ["falcon", "num_kv_heads", { numKvHeads: 1 }],
  ["gpt_bigcode", "n_inner", { ffnSize: 3072 }],
  ["deepseek_v3", "q_lora_rank", { latent: { rank: 512, ropeDim: 64, queryRank: undefined } }],
];

Deno.test("config.json: a null is what its class makes of it", () => {
  for (const [model_type, field, meaning] of NULLS) {
    const model = parse({ model_type, [field]: null });
    for (const [name, value] of Object.entries(meaning)) {
      assertEquals(model[name as keyof Model], value, `${model_type}.${field}`);
    }
  }
});

const LLAMA = {
  model_type: "llama",
  ...{ hidden_size: 4096, intermediate_size: 11008, num_attention_heads: 32 },
  ...{ num_hidden_layers: 32, num_key_value_heads: 32, vocab_size: 32000 },
  max_position_embeddings: 4096,
};

Deno.test("config.json of models that also see: the decoder is in a section, which may leave out what is the default", () => {
  const mistral = { model_type: "mistral", sliding_window: null, vocab_size: 32064 };
  const inner = parse(mistral);
  assertEquals(parse({ model_type: "llava_next", text_config: mistral }), inner);
  // Sizes beside the section are those of something else.
  const beside = { hidden_size: 1024, num_hidden_layers: 3, num_key_value_heads: 1 };
  assertEquals(parse({ model_type: "llava_next", text_config: mistral, ...beside }), inner);
  assertEquals(parse({ model_type: "internvl_chat", llm_config: mistral }), inner);
  const { model_type: _, ...untyped } = mistral;
  assertEquals(parse({ model_type: "mistral3", text_config: untyped }), inner);
  const llama = parse({ model_type: "llama", tie_word_embeddings: true });
  assertEquals(
    parse({ model_type: "llava", text_config: {}, tie_word_embeddings: true }).parameters,
    llama.parameters,
  );
  assertThrows(
    () => parse({ model_type: "llava", text_config: "mistral" }),
    CheckpointError,
    '"text_config" must be an object: current value text_config="mistral"',
  );
});

Deno.test("config.json of models that also see: the rest of them is told not to be counted", () => {
  const mistral = { model_type: "mistral" };
  assertEquals(parse(mistral).isMultimodal, undefined);
  for (const part of ["vision_config", "audio_config"]) {
    assertEquals(
      parse({ model_type: "llava", text_config: mistral, [part]: {} }).isMultimodal,
      true,
    );
    assertEquals(parse({ model_type: "qwen2_vl", [part]: { depth: 3 } }).isMultimodal, true);
  }
});

Deno.test("config.json: layers by a list, by a pattern under both of its names, by letters", () => {
  const gemma = { model_type: "gemma3_text", num_hidden_layers: 7, sliding_window: 128 };
  for (const name of ["sliding_window_pattern", "_sliding_window_pattern"]) {
    assertEquals(parse({ ...gemma, [name]: 3 }).windowed, { numLayers: 5, window: 128 }, name);
  }
  const layer_types = Array.from(
    { length: 7 },
    (_, n) => n < 2 ? "sliding_attention" : "full_attention",
  );
  assertEquals(parse({ ...gemma, layer_types }).windowed, { numLayers: 2, window: 128 });
  const full = Array(7).fill("full_attention");
  assertEquals(parse({ ...gemma, layer_types: full }).windowed, undefined);
  const exaone = { ...gemma, model_type: "exaone4" };
  // The last layer sees everything, whatever the letters say.
  assertEquals(parse({ ...exaone, sliding_window_pattern: "LLG" }).windowed?.numLayers, 4);
  assertEquals(parse({ ...exaone, sliding_window_pattern: "LG" }).windowed?.numLayers, 3);
  assertEquals(parse({ ...exaone, sliding_window_pattern: "G" }).windowed, undefined);
});

Deno.test("config.json of Qwen: windows from max_window_layers on, where they are used", () => {
  for (const model_type of ["qwen2", "qwen3", "qwen2_vl"]) {
    const qwen = { model_type, num_hidden_layers: 10, sliding_window: 256, max_window_layers: 7 };
    assertEquals(parse(qwen).windowed, undefined);
    const used = { ...qwen, use_sliding_window: true };
    assertEquals(parse(used).windowed, { numLayers: 3, window: 256 });
    assertEquals(parse({ ...used, max_window_layers: 0 }).windowed?.numLayers, 10);
    assertEquals(parse({ ...used, max_window_layers: 12 }).windowed, undefined);
  }
  const experts = { model_type: "qwen3_moe", use_sliding_window: true, sliding_window: 256 };
  assertEquals(parse(experts).windowed, { numLayers: 24, window: 256 });
  const small = { model_type: "smollm3", use_sliding_window: true, sliding_window: 256 };
  assertEquals(parse(small).windowed, { numLayers: 9, window: 256 });
});

Deno.test("config.json of layers without keys and values: by a list, by numbers, by periods", () => {
  const sizes = { hidden_size: 64, num_attention_heads: 4, num_hidden_layers: 6, vocab_size: 9 };
  const lfm = { model_type: "lfm2", ...sizes, num_key_value_heads: 2 };
  const counts = (config: unknown) => {
    const { numLayers, recurrentLayers } = parse(config);
    return [numLayers, recurrentLayers];
  };
  assertEquals(counts({ ...lfm, full_attn_idxs: [2, 5] }), [2, 4]);
  const layer_types = ["conv", "full_attention", "conv", "conv", "conv", "conv"];
  assertEquals(counts({ ...lfm, layer_types }), [1, 5]);
  assertEquals(counts(lfm), [6, undefined]);
  const next = { model_type: "qwen3_next", ...sizes, full_attention_interval: 3 };
  assertEquals(counts(next), [2, 4]);
  const jamba = { model_type: "jamba", ...sizes, num_key_value_heads: 2, attn_layer_period: 2 };
  assertEquals(counts({ ...jamba, attn_layer_offset: 1 }), [3, 3]);
  const third = {
    ...jamba,
    attn_layer_offset: 1,
    intermediate_size: 8,
    expert_layer_period: 3,
    expert_layer_offset: 1,
  };
  assertEquals(parse(third).experts!.parameters, 2 * 16 * 3 * 8 * 64);
});

Deno.test("config.json of experts: all are in memory, a token passes some, a batch reads those of its tokens", () => {
  const mixtral = MODELS.find(({ name }) => name === "Mixtral-8x7B")!;
  // Jiang et al. 2024, arXiv 2401.04088: 47e9 parameters, 13e9 of them active.
  assertEquals((mixtral.parameters / 1e9).toFixed(1), "46.7");
  assertEquals((touchedParameters(mixtral, 1) / 1e9).toFixed(1), "12.9");
  assert(touchedParameters(mixtral, 64) / mixtral.parameters > 0.999_999);
  // DeepSeek-AI 2024, arXiv 2412.19437: 671e9 and 37e9, of which 0.9e9 are the embedding, from which one row is read.
  const deepseek = MODELS.find(({ name }) => name === "DeepSeek-V3")!;
  assertEquals((touchedParameters(deepseek, 1) / 1e9).toFixed(1), "37.6");
  const moe = { model_type: "qwen3_moe", num_hidden_layers: 5, num_experts: 4 };
  const experts = (config: Record<string, unknown>) =>
    parse({ ...moe, num_experts_per_tok: 2, ...config }).experts!.parameters / (3 * 768 * 2048);
  assertEquals(experts({}), 20);
  assertEquals(experts({ mlp_only_layers: [0, 3] }), 12);
  assertEquals(experts({ decoder_sparse_step: 2 }), 8);
});

Deno.test("config.json of Falcon and GPT-BigCode, in their first files and in today's", () => {
  const today = { model_type: "falcon", hidden_size: 64, vocab_size: 9, num_hidden_layers: 2 };
  const { source: _, ...model } = parse({ ...today, num_attention_heads: 4, multi_query: true });
  assertEquals([model.numKvHeads, model.ffnSize, model.isGated], [1, 256, false]);
  const first = { ...today, n_head: 4, n_layer: 2, num_hidden_layers: undefined };
  const flags = { multi_query: true, parallel_attn: true };
  for (const config of [first, { ...first, n_embed: 64, hidden_size: undefined }]) {
    const { source: _, ...old } = parse({ ...config, ...flags, model_type: "RefinedWebModel" });
    assertEquals(old, model);
  }
  // Its class has one KV head for each head where the flag is not there, today's class has one for all.
  assertEquals(parse({ ...first, model_type: "RefinedWebModel" }).numKvHeads, 4);
  // The first class of 40B counts them, and knows no flag.
  const large = { ...first, model_type: "RefinedWeb", n_head_kv: 2 };
  assertEquals(parse(large).numKvHeads, 2);
  assertEquals(parse({ ...large, n_head_kv: null }).numKvHeads, 4);
  assertEquals(parse({ ...large, n_head_kv: undefined, multi_query: true }).numKvHeads, 1);
  const coder = { n_embd: 64, n_head: 4, n_layer: 2 };
  assertEquals(parse({ ...coder, model_type: "gpt_bigcode" }).numKvHeads, 1);
  assertEquals(parse({ ...coder, model_type: "gpt_bigcode", multi_query: false }).numKvHeads, 4);
  const custom = { ...coder, model_type: "gpt2", attention_head_type: "multiquery" };
  assertEquals(parse(custom).numKvHeads, 1);
});

/** Fields that a file of one of the decoder's families may leave out, or have as null. */
const OPTIONAL: Readonly<Record<string, Record<string, unknown>>> = {
  llama: { num_key_value_heads: 4, head_dim: 32, hidden_size: 128 },
  mistral: { num_key_value_heads: 4, head_dim: 32, sliding_window: 64, hidden_size: 128 },
  gemma: { num_key_value_heads: 4, head_dim: 32, hidden_size: 96, intermediate_size: 48 },
  gemma3_text: { num_key_value_heads: 4, head_dim: 32, sliding_window: 64, layer_types: null },
  gpt_bigcode: { n_embd: 96, n_inner: 48, multi_query: false, n_head: 12 },
  falcon: { num_kv_heads: 4, new_decoder_architecture: true, ffn_hidden_size: 48 },
  RefinedWebModel: { n_head_kv: 8, multi_query: false, hidden_size: 96 },
  RefinedWeb: { n_head_kv: 4, hidden_size: 96, n_head: 8 },
};

testRandomly(
  "decoder and planner read the same of any fields that are absent or null",
  (random) => {
    let read = 0;
    for (let round = 0; round < 400; round++) {
      const model_type = random.pick(Object.keys(OPTIONAL));
      const fields = Object.entries(OPTIONAL[model_type]).map(([field, value]) =>
        random.pick([{}, { [field]: null }, { [field]: value }])
      );
      const own = Object.assign({ model_type }, ...fields);
      const text = JSON.stringify(random.pick([own, { model_type: "seer", text_config: own }]));
      let spec: DecoderSpec;
      try {
        spec = parseDecoderConfig(text, "config.json");
      } catch (error) {
        assert(error instanceof CheckpointError, text);
        assertThrows(() => parseConfig(text, "config.json"), CheckpointError, "", text);
        continue;
      }
      const model = parseConfig(text, "config.json");
      const { numHeads, numKvHeads, headDim, dim, hiddenDim, vocabSize, layers, contextLen } = spec;
      const windows = layers.flatMap(({ window }) => window ?? []);
      assertEquals(
        { numHeads, numKvHeads, headDim, dim, hiddenDim, vocabSize, contextLen },
        {
          ...{ numHeads: model.numHeads, numKvHeads: model.numKvHeads, headDim: model.headDim },
          ...{ dim: model.hiddenSize, hiddenDim: model.ffnSize, vocabSize: model.vocabSize },
          contextLen: model.maxContext,
        },
        text,
      );
      assertEquals(layers.length, model.numLayers);
      assertEquals([windows.length, windows[0]], [
        model.windowed?.numLayers ?? 0,
        model.windowed?.window,
      ], text);
      read++;
    }
    assert(read > 200 && read < 400, `${read} read`);
  },
);

Deno.test("config.json of MPT: KV heads by the kind of attention", () => {
  const mpt = { model_type: "mpt", d_model: 64, n_heads: 8 };
  const kvHeads = (attn_config: unknown) => parse({ ...mpt, attn_config }).numKvHeads;
  assertEquals(kvHeads(undefined), 8);
  assertEquals(kvHeads({ attn_type: "multiquery_attention" }), 1);
  assertEquals(kvHeads({ attn_type: "grouped_query_attention", kv_n_heads: 2 }), 2);
});

Deno.test("config.json of a type that is not known is refused, or counted as assumed", () => {
  const { model_type: _, ...untyped } = LLAMA;
  const unknown = { ...untyped, model_type: "chatglm" };
  for (const config of [unknown, untyped]) {
    const error = assertThrows(() => parse(config), RangeError, '"--assume dense"');
    assertMatch((error as Error).message, /known are .*gemma2, gemma3, .*llama, /);
  }
  assertThrows(() => parse(unknown), RangeError, 'model_type="chatglm"');
  const assumed = parseConfig(JSON.stringify(unknown), "a.json", { assumesDense: true });
  const { numLayers, numKvHeads, headDim, ffnSize, name, isAssumed } = assumed;
  assertEquals([numLayers, numKvHeads, headDim, ffnSize], [32, 32, 128, 11008]);
  assertEquals([name, isAssumed], ["a.json (assumed dense)", true]);
  // What is known is not assumed.
  const known = parseConfig(JSON.stringify(LLAMA), "a.json", { assumesDense: true });
  assertEquals(known, parseConfig(JSON.stringify(LLAMA), "a.json"));
  // Nothing is assumed of sizes.
  const needed = ["hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"];
  for (const field of [...needed, "vocab_size"]) {
    const text = JSON.stringify({ ...unknown, [field]: undefined });
    const read = () => parseConfig(text, "a.json", { assumesDense: true });
    assertThrows(read, CheckpointError, `"${field}"`);
  }
});

const WRONG: [config: unknown, says: string][] = [
  [{ ...LLAMA, num_attention_heads: -32 }, '"num_attention_heads" must be a whole'],
  [{ ...LLAMA, num_hidden_layers: 1.5 }, "num_hidden_layers=1.5"],
  [{ ...LLAMA, vocab_size: "32000" }, 'vocab_size="32000"'],
  [{ ...LLAMA, num_key_value_heads: 5 }, "numHeads=32, numKvHeads=5"],
  [{ ...LLAMA, hidden_size: 4097 }, "dim=4097"],
  [{ ...LLAMA, sliding_window: 4096 }, '"sliding_window" must be null'],
  [{ ...LLAMA, is_encoder_decoder: true }, "is_encoder_decoder=true"],
  [{ ...LLAMA, num_hidden_layers: 1, layer_types: ["sliding_attention"] }, "(leave it out)"],
  [{ ...LLAMA, num_hidden_layers: 1, layer_types: ["linear_attention"] }, "(leave it out)"],
  [{ model_type: "mistral", use_sliding_window: false }, "set sliding_window to null"],
  [{ model_type: "gemma2", layer_types: Array(26).fill("chunked_attention") }, "must be 26 of"],
  [{ model_type: "gemma2", layer_types: Array(26).fill("mamba") }, "attention in every layer"],
  [{ model_type: "exaone4", sliding_window_pattern: "LLX" }, '"sliding_window_pattern" must be'],
  [{ model_type: "exaone4", sliding_window_pattern: 0 }, "sliding_window_pattern=0"],
  [
    { model_type: "qwen2", use_sliding_window: true, max_window_layers: -1 },
    "max_window_layers=-1",
  ],
  [{ model_type: "mixtral", num_local_experts: 1 }, '"num_experts_per_tok" must be at most'],
  [
    { model_type: "mixtral", num_experts: 8, num_local_experts: 16 },
    "are one field and must agree",
  ],
  [{ model_type: "deepseek_v3", kv_lora_rank: 0 }, "kv_lora_rank=0"],
  [{ model_type: "deepseek_v2" }, '"num_experts_per_tok" is missing'],
  [{ model_type: "qwen3_moe", mlp_only_layers: ["0"] }, '"mlp_only_layers" must be a list'],
  [{ model_type: "lfm2", full_attn_idxs: 3 }, '"full_attn_idxs" must be a list'],
  [{ model_type: "lfm2", full_attn_idxs: [3, 32] }, "from 0 to 31"],
  [{ model_type: "lfm2", sliding_window: 8 }, '"sliding_window" must be null'],
  [{ model_type: "deepseek_v3", sliding_window: 8 }, '"sliding_window" must be null'],
  [{ model_type: "gpt2", attention_head_type: "some" }, 'attention_head_type="some"'],
  [{ model_type: "falcon", multi_query: false, num_kv_heads: 2 }, '"num_kv_heads" must be 71'],
  [{ model_type: "falcon", n_head: 8, num_attention_heads: 4 }, "are one field and must agree"],
  [[LLAMA], "config.json as it must be a JSON object"],
  [null, "config.json as it must be a JSON object"],
];

Deno.test("config.json: refuses what makes no sense, and says what", () => {
  for (const [config, says] of WRONG) assertThrows(() => parse(config), CheckpointError, says);
  assertThrows(() => parseConfig("{", "a.json"), CheckpointError, "a.json as it is no JSON");
});
