import { isJsonObject, parseJsonObject } from "../../base/json.ts";
import { Fields } from "./fields.ts";
import type { TokenizerOptions } from "./tokenizer.ts";

/** The purposes of special tokens. */
const ROLES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] as const;

/**
 * The tokenizers of transformers in which `add_bos_token` is true where it is absent, whatever `tokenizer.json` says
 * (`LlamaTokenizerFast.update_post_processor` and its copies).
 */
const ADD_BOS = ["LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer"];

/** The settings in the files beside a `tokenizer.json`. */
export interface Settings {
  /** The token before texts, and which file names it. */
  bos?: NamedToken;
  /** The token that ends texts. */
  eos?: NamedToken;
  /** All that are named for a purpose, and so are no text. */
  special: readonly string[];
  /** Whether texts begin with BOS; where they leave it open, `tokenizer.json` says. */
  addsBos?: boolean;
}

/** A token that a file names. */
export interface NamedToken {
  token: string;
  file: string;
}

/**
 * Reads `tokenizer_config.json` and, for what that leaves out, `special_tokens_map.json`.
 *
 * @throws {CheckpointError} If one of them is no JSON object, or a field of another kind.
 */
export function readSettings(
  { file, config = "{}", specialTokensMap = "{}" }: TokenizerOptions,
): Settings {
  const folder = file.replace(/[^/\\]*$/, "");
  const open = (name: string, text: string) =>
    new Fields(folder + name, parseJsonObject(text, folder + name));
  const own = open("tokenizer_config.json", config);
  const files = [own, open("special_tokens_map.json", specialTokensMap)];
  const named = ROLES.flatMap((role) => {
    const found = files.map((fields) => ({
      role,
      token: tokenOf(fields, `${role}_token`, fields.values[`${role}_token`]),
      file: fields.name,
    })).find(({ token }) => token !== undefined);
    return found ? [{ ...found, token: found.token! }] : [];
  });
  const more = files.flatMap((fields) =>
    (fields.list("additional_special_tokens") ?? []).map((token, i) =>
      tokenOf(fields, `additional_special_tokens.${i}`, token)
    )
  ).filter((token) => token !== undefined);
  return {
    bos: named.find(({ role }) => role === "bos"),
    eos: named.find(({ role }) => role === "eos"),
    special: [...named.map(({ token }) => token), ...more],
    addsBos: readAddsBos(own),
  };
}

/** A special token is a text, or an object with its text as content. */
function tokenOf(fields: Fields, field: string, value: unknown): string | undefined {
  if (value === undefined || value === null || typeof value === "string") return value ?? undefined;
  const content = isJsonObject(value) ? value.content : undefined;
  if (typeof content === "string") return content;
  throw fields.error(`"${field}" must be a text, or an object with one as content`, {
    [field]: value,
  });
}

/** A setting counts for every tokenizer, as in transformers since its version 5 (`TokenizersBackend.update_post_processor`). */
function readAddsBos(settings: Fields): boolean | undefined {
  const name = settings.text("tokenizer_class")?.replace(/Fast$/, "") ?? "";
  return settings.flag("add_bos_token") ?? (ADD_BOS.includes(name) || undefined);
}
