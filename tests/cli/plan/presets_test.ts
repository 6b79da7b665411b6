// Presets: models and devices by name.
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { GPUS } from "../../../cli/plan/gpus.ts";
import { parseConfig } from "../../../cli/shared/model_config.ts";
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
