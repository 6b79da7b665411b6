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

const SPACED = [...Array(256).keys()].map((byte) => String.fromCharCode(256 + byte));

/** One of each other kind: bytes as characters, scored pieces, and words with their endings. */
export const OTHER_JSONS = [
  {
    ...LLAMA_JSON,
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: { Regex: "[^\\r\\n\\p{L}]?\\p{L}+|\\s+(?!\\S)|\\s+" },
          ...{ behavior: "Isolated", invert: false },
        },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    decoder: { type: "ByteLevel" },
    model: {
      ...{ type: "BPE", unk_token: null, merges: [["a", "b"], ["Ġ", "ab"]], ignore_merges: true },
      vocab: Object.fromEntries(
        ["<unk>", "<s>", "</s>", "a", "b", "ab", "Ġab", ...SPACED].map((token, id) => [token, id]),
      ),
    },
  },
  {
    ...LLAMA_JSON,
    normalizer: { type: "Precompiled", precompiled_charsmap: "" },
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
    model: {
      ...{ type: "Unigram", unk_id: 0 },
      vocab: [["<unk>", 0], ["<s>", 0], ["</s>", 0], ["▁", -2], ["a", -3], ["b", -4], ["ab", -5]],
    },
  },
  {
    ...LLAMA_JSON,
    normalizer: {
      ...{ type: "BertNormalizer", clean_text: true, handle_chinese_chars: true },
      ...{ strip_accents: null, lowercase: true },
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 1] },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      ...{ type: "WordPiece", unk_token: "<unk>", continuing_subword_prefix: "##" },
      max_input_chars_per_word: 100,
      vocab: { "<unk>": 0, "<s>": 1, "</s>": 2, a: 3, "##b": 4, b: 5, "##a": 6 },
    },
  },
];

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
