import { sentence } from "../../base/check.ts";
import type { JsonObject } from "../../base/json.ts";
import type { DecoderSource } from "../../model/decoder_source.ts";
import type { DecoderSpec } from "../../model/spec.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { HfConfig } from "../config.ts";
import { readFamily } from "../families/mod.ts";
import { ACTIVATIONS, type Family } from "../family.ts";

/** Fields of models that also see or hear, and of the types that weights were stored in. */
const LEFT_OUT = ["vision_config", "audio_config", "dtype"];

/** The class of transformers that generates text, by model type. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  ...{ llama: "LlamaForCausalLM", mistral: "MistralForCausalLM", gemma: "GemmaForCausalLM" },
  ...{ gemma3_text: "Gemma3ForCausalLM", gpt_bigcode: "GPTBigCodeForCausalLM" },
  falcon: "FalconForCausalLM",
};

/** A configuration, and the family that it makes of the weights. */
export interface WrittenConfig {
  fields: JsonObject;
  family: Family;
}

/**
 * The `config.json` of a decoder: the one that it was read by, with its present number of KV heads, or that of a Llama.
 *
 * @throws {RangeError} If the family cannot say the decoder's shape.
 */
export function writtenConfig(
  { spec, weights, config, endOfText }: DecoderSource & Pick<Checkpoint, "config" | "endOfText">,
): WrittenConfig {
  const given = config ?? llamaFields(spec, weights.has("layers.0.q.bias"));
  const familyOf = (fields: JsonObject) =>
    readFamily(HfConfig.parse(JSON.stringify(fields), "the config.json to be written"));
  const fields = Object.fromEntries(
    Object.entries({
      ...given,
      ...familyOf(given).kvHeadFields(spec.numKvHeads),
      ...textClass(given),
      tie_word_embeddings: !weights.has("classifier.weight"),
      torch_dtype: "float32",
      ...(endOfText.length > 0 &&
        { eos_token_id: endOfText.length > 1 ? endOfText : endOfText[0] }),
    }).filter(([field, value]) => value !== undefined && !LEFT_OUT.includes(field)),
  );
  const family = familyOf(fields);
  checkShape(spec, family.spec, fields.model_type);
  return { fields, family };
}

/** The class that reads the decoder alone, where the file names one that also sees, or none. */
function textClass({ model_type, architectures }: JsonObject): JsonObject {
  if (model_type === "gemma3") return textClass({ model_type: "gemma3_text" });
  const known = ARCHITECTURES[`${model_type}`];
  return known === undefined ? { architectures } : { model_type, architectures: [known] };
}

/** The configuration of a Llama of this shape. */
function llamaFields(spec: DecoderSpec, hasBiases: boolean): JsonObject {
  const [activation] = Object.entries(ACTIVATIONS).find(([, kind]) => kind === spec.activation)!;
  return {
    ...{ model_type: "llama", hidden_size: spec.dim, intermediate_size: spec.hiddenDim },
    ...{ num_hidden_layers: spec.layers.length, num_attention_heads: spec.numHeads },
    ...{ num_key_value_heads: spec.numKvHeads, head_dim: spec.headDim },
    ...{ vocab_size: spec.vocabSize, max_position_embeddings: spec.contextLen },
    ...{ hidden_act: activation, rms_norm_eps: spec.norm.eps, attention_bias: hasBiases },
    ...{ rope_theta: spec.layers[0]?.rope?.base ?? 10_000, eos_token_id: null },
  };
}

/** Throws where the configuration makes another decoder. */
function checkShape(spec: DecoderSpec, read: DecoderSpec, model_type: unknown): void {
  const names = Object.keys({ ...spec, ...read }) as (keyof DecoderSpec)[];
  for (const name of names) {
    if (isSame(spec[name], read[name])) continue;
    throw new RangeError(
      sentence(
        "write a checkpoint",
        `the config.json of its family must be able to say its ${name}`,
        {
          model_type,
          [name]: spec[name],
          readBack: read[name],
        },
      ),
    );
  }
}

/** Whether two values of JSON are the same; fields that are undefined count as absent. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const [first, second] = [a, b] as Record<string, unknown>[];
  return Array.isArray(a) === Array.isArray(b) &&
    Object.keys({ ...a, ...b }).every((name) => isSame(first[name], second[name]));
}
