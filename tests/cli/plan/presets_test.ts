// Presets: models and devices by name, and models from a config.json.
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { CheckpointError } from "../../../mod.ts";
import { GPUS } from "../../../cli/plan/gpus.ts";
import { parseConfig } from "../../../cli/plan/hf_config.ts";
import { countParameters } from "../../../cli/shared/preset.ts";
import { MODELS } from "../../../cli/shared/presets.ts";
import { findByName } from "../../../cli/shared/names.ts";

Deno.test("models: the sizes of each give the parameters that are published for it", () => {
  for (const model of MODELS) {
    const share = countParameters(model) / model.parameters;
    // Norms, biases and positions are not counted; GPT-2's positions alone are 0.6 %.
    assert(share > 0.99 && share < 1.001, `${model.name}: ${share}`);
  }
});

Deno.test("models: heads divide, windows are among the layers, and each has a source", () => {
  for (const { name, numLayers, numHeads, numKvHeads, windowed, source } of MODELS) {
    assert(Number.isInteger(numHeads / numKvHeads), name);
    assert((windowed?.numLayers ?? 0) <= numLayers, name);
    assertMatch(source, /arXiv \d{4}\.\d{5}|et al/);
  }
});

Deno.test("models: all that are promised are there, in MHA, GQA and MQA", () => {
  const names = MODELS.map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
  const promised = [
    ...["GPT-2", "LLaMA-2-7B", "LLaMA-2-13B", "LLaMA-2-70B", "LLaMA-3-8B", "LLaMA-3-70B"],
    ...["Mistral-7B", "Falcon-7B", "Falcon-40B", "StarCoder-15B", "SantaCoder", "PaLM-8B"],
    ...["PaLM-62B", "PaLM-540B", "Gemma-2B", "Gemma-7B", "Gemma-3-270M", "Gemma-3-1B"],
    ...["Gemma-3-4B", "Phi-3-mini", "Qwen2.5-7B"],
  ];
  assertEquals(promised.filter((name) => !names.includes(name)), []);
});

Deno.test("gpus: every class is there, each with its source, and f16 is no slower than f32", () => {
  const memories = GPUS.map(({ memoryBytes }) => memoryBytes! / 1e9);
  for (const memory of [8, 12, 16, 24, 40, 80, 141]) assert(memories.includes(memory));
  for (const { name, source, f16FlopsPerSecond, f32FlopsPerSecond } of GPUS) {
    assert(source.length > 20, name);
    assert(f16FlopsPerSecond >= f32FlopsPerSecond, name);
  }
});

Deno.test("findByName() takes upper and lower case, and suggests what is near", () => {
  assertEquals(findByName("model", MODELS, "FALCON-7b").name, "Falcon-7B");
  const says = (name: string, suggestion: string) =>
    assertThrows(() => findByName("model", MODELS, name), RangeError, suggestion);
  says("falcon-7", "did you mean Falcon-7B?");
  says("llama-2", "did you mean LLaMA-2-7B or LLaMA-2-13B or LLaMA-2-70B?");
  says("mistal-7b", "did you mean Mistral-7B or ");
  assertThrows(() => findByName("GPU", GPUS, "a100"), RangeError, "a100-40gb or a100-80gb?");
});

const LLAMA = {
  model_type: "llama",
  ...{ hidden_size: 4096, intermediate_size: 11008, num_attention_heads: 32 },
  ...{ num_hidden_layers: 32, num_key_value_heads: 32, vocab_size: 32000 },
  max_position_embeddings: 4096,
};
const parse = (config: unknown) => parseConfig(JSON.stringify(config), "config.json");

/** What a preset and a file must agree on. */
function shapesOf(name: string) {
  const { source: _s, name: _n, parameters: _p, ...shapes } = findByName("model", MODELS, name);
  return { windowed: undefined, ...shapes };
}

Deno.test("config.json: as the repositories of LLaMA, Mistral, Gemma 3, Falcon, GPT-2 and StarCoder have it", () => {
  const cases: [name: string, config: unknown][] = [
    ["LLaMA-2-7B", LLAMA],
    ["Mistral-7B", {
      ...LLAMA,
      model_type: "mistral",
      ...{ num_key_value_heads: 8, intermediate_size: 14336, sliding_window: 4096 },
      max_position_embeddings: 32768,
    }],
    ["Qwen2.5-7B", {
      model_type: "qwen2",
      ...{ hidden_size: 3584, intermediate_size: 18944, num_attention_heads: 28 },
      ...{ num_hidden_layers: 28, num_key_value_heads: 4, vocab_size: 152064 },
      ...{ max_position_embeddings: 131072, sliding_window: 131072, use_sliding_window: false },
      tie_word_embeddings: false,
    }],
    ["Gemma-3-4B", {
      model_type: "gemma3",
      text_config: {
        // The rest is left to the family's defaults.
        ...{ model_type: "gemma3_text", hidden_size: 2560, intermediate_size: 10240 },
        ...{ num_hidden_layers: 34, sliding_window: 1024 },
      },
    }],
    ["Falcon-7B", {
      model_type: "falcon",
      ...{ hidden_size: 4544, num_attention_heads: 71, num_hidden_layers: 32, num_kv_heads: 71 },
      ...{ multi_query: true, new_decoder_architecture: false, vocab_size: 65024 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: false },
    }],
    ["Falcon-40B", {
      model_type: "falcon",
      ...{ hidden_size: 8192, num_attention_heads: 128, num_hidden_layers: 60, num_kv_heads: 8 },
      ...{ multi_query: true, new_decoder_architecture: true, vocab_size: 65024 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: false },
    }],
    ["GPT-2", {
      model_type: "gpt2",
      ...{ n_embd: 768, n_head: 12, n_layer: 12, n_positions: 1024, vocab_size: 50257 },
    }],
    ["StarCoder-15B", {
      model_type: "gpt_bigcode",
      ...{ n_embd: 6144, n_head: 48, n_layer: 40, n_inner: 24576, n_positions: 8192 },
      ...{ multi_query: true, vocab_size: 49152 },
    }],
  ];
  for (const [name, config] of cases) {
    const { source, name: ownName, parameters, ...shapes } = parse(config);
    assertEquals(shapes as unknown, shapesOf(name), name);
    assertEquals(parameters, countParameters({ ...shapes }));
    assertMatch(source, /config\.json/);
    assertEquals(ownName, "config.json");
  }
});

Deno.test("config.json: windows by a list of layer types", () => {
  const layer_types = ["sliding_attention", "full_attention", "sliding_attention"];
  const config = { ...LLAMA, num_hidden_layers: 3, sliding_window: 128, layer_types };
  assertEquals(parse(config).windowed, { numLayers: 2, window: 128 });
  const full = { ...config, layer_types: Array(3).fill("full_attention") };
  assertEquals(parse(full).windowed, undefined);
});

Deno.test("config.json: windows by a pattern, under both of its names", () => {
  const config = { ...LLAMA, num_hidden_layers: 7, sliding_window: 128 };
  for (const name of ["sliding_window_pattern", "_sliding_window_pattern"]) {
    assertEquals(parse({ ...config, [name]: 3 }).windowed, { numLayers: 5, window: 128 }, name);
  }
});

Deno.test("config.json: Falcon and GPT-BigCode have one KV head unless they say otherwise", () => {
  for (const model_type of ["falcon", "gpt_bigcode", "llama"]) {
    const { num_key_value_heads: _, ...config } = { ...LLAMA, model_type, num_key_value_heads: 1 };
    const { numHeads, numKvHeads } = parse(config);
    assertEquals(numKvHeads, model_type === "llama" ? numHeads : 1, model_type);
  }
});

Deno.test("config.json: a field that lacks is named", () => {
  const needed = ["hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"];
  for (const field of [...needed, "vocab_size"]) {
    const { [field as keyof typeof LLAMA]: _, ...rest } = LLAMA;
    assertThrows(() => parse(rest), CheckpointError, `"${field}"`);
  }
  const { num_key_value_heads: _k, max_position_embeddings: _m, ...rest } = LLAMA;
  assertEquals(parse(rest).numKvHeads, 32);
});

const WRONG: [config: unknown, kind: new () => Error, says: string][] = [
  [
    { ...LLAMA, num_attention_heads: -32 },
    CheckpointError,
    '"num_attention_heads" must be a whole',
  ],
  [{ ...LLAMA, num_hidden_layers: 1.5 }, CheckpointError, "num_hidden_layers=1.5"],
  [{ ...LLAMA, vocab_size: "32000" }, CheckpointError, 'vocab_size="32000"'],
  [{ ...LLAMA, num_key_value_heads: 5 }, RangeError, "heads=32, KV heads=5"],
  [{ ...LLAMA, hidden_size: 4097 }, RangeError, "hidden size=4097"],
  [[LLAMA], CheckpointError, "config.json as it must be a JSON object"],
  [null, CheckpointError, "config.json as it must be a JSON object"],
];

Deno.test("config.json: refuses what makes no sense, and says what", () => {
  for (const [config, kind, says] of WRONG) assertThrows(() => parse(config), kind, says);
  assertThrows(() => parseConfig("{", "a.json"), CheckpointError, "a.json as it is no JSON");
});
