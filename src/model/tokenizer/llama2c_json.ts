import { sentence } from "../../base/check.ts";
import { CheckpointError } from "../../base/errors.ts";
import { FIRST_PIECE, type Piece, readPieces } from "./llama2c.ts";
import type { TokenizerOptions } from "./tokenizer.ts";

/** Spaces within pieces, as SentencePiece writes them. */
const SPACE_MARK = "\u2581";
const SPECIAL = ["<unk>", "<s>", "</s>"];

/** The files of a tokenizer of transformers, by their names. */
export type TokenizerFiles = Record<"tokenizer.json" | "tokenizer_config.json", string>;

/**
 * Makes the tokenizer of a llama2.c model one of Hugging Face, as transformers does with those of SentencePiece: each way to
 * make a piece of two others is a merge, and merges are ranked by the score of the piece.
 *
 * @throws {CheckpointError} If the file is damaged, or a piece is no UTF-8.
 */
export function llama2cTokenizerFiles(file: Uint8Array, options: TokenizerOptions): TokenizerFiles {
  const pieces = readPieces(file, options);
  const texts = pieces.map((piece, token) => SPECIAL[token] ?? textOf(piece, token, options.file));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const [unk_token, bos_token, eos_token] = SPECIAL;
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({ id, content, special: true, ...flags })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: SPACE_MARK },
        { type: "Replace", pattern: { String: " " }, content: SPACE_MARK },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [
        { SpecialToken: { id: bos_token, type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
      ],
      pair: [
        { SpecialToken: { id: bos_token, type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { Sequence: { id: "B", type_id: 1 } },
      ],
      special_tokens: { [bos_token]: { id: bos_token, ids: [1], tokens: [bos_token] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE_MARK }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      ...{ type: "BPE", unk_token, fuse_unk: true, byte_fallback: true, dropout: null },
      vocab: Object.fromEntries(texts.map((text, token) => [text, token])),
      merges: mergesOf(pieces, texts),
    },
  };
  const config = {
    ...{ tokenizer_class: "PreTrainedTokenizerFast", unk_token, bos_token, eos_token },
    clean_up_tokenization_spaces: false,
  };
  return {
    "tokenizer.json": JSON.stringify(tokenizer, null, 1) + "\n",
    "tokenizer_config.json": JSON.stringify(config, null, 2) + "\n",
  };
}

/** Every pair of pieces that makes a piece, those of the highest score first. */
function mergesOf(pieces: readonly Piece[], texts: readonly string[]): string[] {
  const known = new Set(texts.slice(FIRST_PIECE));
  return texts.map((text, token) => ({ text, score: pieces[token].score }))
    .slice(FIRST_PIECE)
    .toSorted((a, b) => b.score - a.score)
    .flatMap(({ text }) => {
      const characters = Array.from(text);
      return characters.slice(1).flatMap((_, i) => {
        const [left, right] = [characters.slice(0, i + 1), characters.slice(i + 1)]
          .map((part) => part.join(""));
        return known.has(left) && known.has(right) ? [`${left} ${right}`] : [];
      });
    });
}

function textOf({ bytes }: Piece, token: number, file: string): string {
  try {
    const codes = Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(codes);
    return text.replaceAll(" ", SPACE_MARK);
  } catch (cause) {
    const rule = "each piece must be UTF-8 to become a piece of tokenizer.json";
    throw new CheckpointError(sentence(`write the tokenizer ${file}`, rule, { token }), { cause });
  }
}
