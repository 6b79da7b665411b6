// What a config.json may leave out has the value of its class in transformers 5.18.0, field by field: class_defaults.json has
// the fields of `models/*/configuration_*.py` as they are declared there, those of ancestors included, by the names of today.
import { assertEquals } from "@std/assert";
import { MODEL_TYPES } from "../../src/checkpoints/model_types/mod.ts";
import classDefaults from "./class_defaults.json" with { type: "json" };

/** Defaults that no class of transformers states: of a first file, of an ancestor, of a layer, of a keyword. */
const OWN: Readonly<Record<string, Record<string, unknown>>> = {
  GPT2Config: { attention_head_type: "multihead" },
  MistralConfig: { attention_bias: false },
  Qwen2VLTextConfig: { tie_word_embeddings: false },
  Qwen2_5_VLTextConfig: { tie_word_embeddings: false },
  Qwen3NextConfig: { full_attention_interval: 4 },
};

Deno.test("defaults of every model type are those of its class", () => {
  const classes: Readonly<Record<string, Record<string, unknown>>> = classDefaults;
  const compared = new Set<string>();
  for (const [modelType, { source, defaults }] of Object.entries(MODEL_TYPES)) {
    // The first files of Falcon brought classes of their own.
    if (source.startsWith("RWConfig")) continue;
    assertEquals(defaults, { ...classes[source], ...OWN[source] }, modelType);
    compared.add(source);
  }
  assertEquals([...compared].toSorted(), Object.keys(classes).toSorted());
});
