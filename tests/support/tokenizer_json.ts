// `tokenizer.json` files, as tests write them.
import { parseTokenizer } from "../../src/model/tokenizer/parse.ts";
import type { Tokenizer, TokenizerOptions } from "../../src/model/tokenizer/tokenizer.ts";
import { byteNames } from "./tokenizer_file.ts";

/** An added token. */
export function added(content: string, id: number, special = true) {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return { id, content, special, ...flags };
}

/** What puts tokens before a text. */
export function template(...before: [token: string, id: number][]) {
  return {
    type: "TemplateProcessing",
    single: [
      ...before.map(([id]) => ({ SpecialToken: { id, type_id: 0 } })),
      { Sequence: { id: "A", type_id: 0 } },
    ],
    pair: [],
    special_tokens: Object.fromEntries(
      before.map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}

/** The steps of Llama's decoder. */
export const LLAMA_DECODERS = [
  { type: "Replace", pattern: { String: "▁" }, content: " " },
  { type: "ByteFallback" },
  { type: "Fuse" },
  { type: "Strip", content: " ", start: 1, stop: 0 },
];

const LLAMA_TOKENS = ["<unk>", "<s>", "</s>", ...byteNames, "▁", "a", "b", "ab", "▁ab"];

/** A `tokenizer.json` of Llama's kind: BOS, bytes, and words that begin with their space; 264 tokens. */
export const LLAMA_JSON = {
  added_tokens: ["<unk>", "<s>", "</s>"].map((token, id) => added(token, id)),
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null as unknown,
  post_processor: template(["<s>", 1]) as unknown,
  decoder: { type: "Sequence", decoders: LLAMA_DECODERS } as unknown,
  model: {
    type: "BPE",
    unk_token: "<unk>" as unknown,
    fuse_unk: true,
    byte_fallback: true,
    vocab: Object.fromEntries(LLAMA_TOKENS.map((token, id) => [token, id])),
    merges: ["a b", "▁ ab"] as unknown,
  },
};

/** Reads one, and keeps what is said about it; the model has 320 rows unless another number is given. */
export async function parseJson(
  json: unknown,
  options: Partial<TokenizerOptions> = {},
): Promise<Tokenizer & { said: string[] }> {
  const said: string[] = [];
  const bytes = json instanceof Uint8Array
    ? json
    : new TextEncoder().encode(typeof json === "string" ? json : JSON.stringify(json));
  const tokenizer = await parseTokenizer(bytes, {
    ...{ file: "tokenizer.json", vocabSize: 320, warn: (text: string) => void said.push(text) },
    ...options,
  });
  return Object.assign(tokenizer, { said });
}
