import { isJsonObject, parseJsonObject } from "../base/json.ts";
import { checkpointError } from "./checkpoint_error.ts";
import { TEXT_SECTIONS } from "./config.ts";
import type { NamedText } from "./text_file.ts";

/**
 * The tokens that end a text: `eos_token_id` of `generation_config.json`, or else of `config.json`, there at the top or else in
 * the section of the decoder, as transformers has it; a number or a list. None where no file says.
 *
 * @throws {CheckpointError} If a file is no JSON object, or one of them is no token.
 */
export function endTokens(config: NamedText, generationConfig?: NamedText): number[] {
  const parse = ({ name, text }: NamedText) => ({ name, json: parseJsonObject(text, name) });
  const outer = parse(config);
  const inner = TEXT_SECTIONS.map((section) => ({
    name: `"${section}" in ${config.name}`,
    json: outer.json[section],
  }));
  const sections = [...(generationConfig ? [parse(generationConfig)] : []), outer, ...inner];
  for (const { name, json } of sections) {
    const value = isJsonObject(json) ? json.eos_token_id ?? undefined : undefined;
    if (value === undefined) continue;
    const tokens: unknown[] = Array.isArray(value) ? value : [value];
    if (tokens.every(isToken)) return tokens;
    const rule = '"eos_token_id" must be a whole number of at least 0, or a list of such';
    throw checkpointError(name, rule, { eos_token_id: value });
  }
  return [];
}

function isToken(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
