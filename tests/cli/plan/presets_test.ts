// Presets: models and devices by name.
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { GPUS } from "../../../cli/plan/gpus.ts";
import { parseConfig } from "../../../cli/shared/model_config.ts";
import { activationBytes } from "../../../cli/shared/preset.ts";
import { MODELS, PUBLISHED } from "../../../cli/shared/presets.ts";
import { findByName } from "../../../cli/shared/names.ts";

Deno.test("models: the fields of each give the parameters that are published for it", () => {
  for (const { name, config, parameters } of PUBLISHED) {
    const assumesDense = config.model_type === undefined;
    const counted = parseConfig(JSON.stringify(config), name, { assumesDense }).parameters;
    const share = counted / parameters;
    assert(share > 0.99 && share < 1.001, `${name}: ${share}`);
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
    ...["Gemma-3-4B", "Phi-3-mini", "Qwen2.5-7B", "Mixtral-8x7B", "DeepSeek-V3", "Kimi-K2"],
    ...["Gemma-2-2B", "gpt-oss-20b", "Qwen3-8B", "LFM2-1.2B", "Jamba-v0.1"],
  ];
  assertEquals(promised.filter((name) => !names.includes(name)), []);
});

Deno.test("models: activations are the residual, a layer at its widest, and the logits, in f32", () => {
  const model = {
    ...findByName("model", MODELS, "llama-2-7b"),
    ...{ hiddenSize: 100, ffnSize: 300, numHeads: 8, numKvHeads: 2, headDim: 16, vocabSize: 1000 },
    valueDim: undefined,
  };
  // The residual and its copy; the gate beside what it is multiplied with; the logits.
  assertEquals(activationBytes({ ...model, isGated: true }), 4 * (2 * 100 + 2 * 300 + 1000));
  // Without a gate attention is wider: queries and outputs of 8 heads, keys and values of 2.
  assertEquals(activationBytes({ ...model, isGated: false }), 4 * (2 * 100 + 10 * 32 + 1000));
  const narrow = { ...model, isGated: true, ffnSize: 50, valueDim: 4 };
  assertEquals(activationBytes(narrow), 4 * (2 * 100 + 10 * 20 + 1000));
  const experts = { count: 8, perToken: 2, width: 700, parameters: 0 };
  assertEquals(activationBytes({ ...narrow, experts }), 4 * (2 * 100 + 2 * 700 + 1000));
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
