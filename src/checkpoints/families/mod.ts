/** The families that there are, by what `config.json` calls them. */
import { checkString } from "../../base/check.ts";
import type { DecoderSpec } from "../../model/spec.ts";
import { HfConfig } from "../config.ts";
import type { Family, FamilyReader } from "../family.ts";
import { readModel } from "../model_types/mod.ts";
import { falcon } from "./falcon.ts";
import { gemma } from "./gemma.ts";
import { gemma3 } from "./gemma3.ts";
import { gptBigCode } from "./gpt_bigcode.ts";
import { llama } from "./llama.ts";

/** The model types that the decoder runs. */
const FAMILIES: Readonly<Record<string, FamilyReader>> = {
  ...{ llama, mistral: llama, gemma, gemma3, gemma3_text: gemma3, gpt_bigcode: gptBigCode },
  ...{ falcon, RefinedWeb: falcon, RefinedWebModel: falcon },
};

/** Options that no decoder here has, whatever its family, and what to do about them. */
const UNUSED: Readonly<Record<string, string>> = {
  quantization_config: "must be absent: save the checkpoint in F32, F16 or BF16",
  attn_logit_softcapping: "must be null: this decoder caps no scores",
  final_logit_softcapping: "must be null: this decoder caps no logits",
};

/**
 * Reads the shape of a decoder from a `config.json` of a Hugging Face repository: of the families llama, mistral, gpt_bigcode
 * (StarCoder, SantaCoder), falcon, gemma, and the text models of gemma3.
 *
 * @param text The file's text.
 * @param name What messages call it.
 * @returns The decoder's shape.
 * @throws {TypeError} If the text or the name is no string.
 * @throws {CheckpointError} If the text is no JSON object, a field that is needed is missing or makes no sense, or the file
 * asks for something that the decoder does not have; the message names field and value.
 *
 * @example
 * ```ts
 * import { parseDecoderConfig } from "@onehead/attention/checkpoints";
 *
 * const spec = parseDecoderConfig(
 *   '{"model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912,' +
 *     '"num_attention_heads": 4, "num_key_value_heads": 1, "sliding_window": 512}',
 *   "gemma-3-1b",
 * );
 * console.log(spec.numKvHeads, spec.layers[0].window, spec.layers[5].window); // 1 512 undefined
 * ```
 */
export function parseDecoderConfig(text: string, name: string): DecoderSpec {
  checkString("read a configuration", "text", text);
  checkString("read a configuration", "name", name);
  return readFamily(HfConfig.parse(text, name)).spec;
}

/** As {@linkcode parseDecoderConfig}, and what the family calls its tensors; also the end token of its configuration class. */
export function readFamily(given: HfConfig): Family & { classEndOfText: number[] } {
  for (const [field, rule] of Object.entries(UNUSED)) {
    if (given.has(field)) throw given.error(field, rule);
  }
  const read = given.choice("model_type", FAMILIES);
  const { config, outline } = readModel(given);
  const end = config.value("eos_token_id");
  return { ...read(config, outline), classEndOfText: typeof end === "number" ? [end] : [] };
}
