import type { Fields } from "./fields.ts";

/** Most tokens. The largest known vocabularies have 262,144; a list is as long as its largest number. */
const MOST_TOKENS = 2 ** 22;
const IDS: [least: number, most: number] = [0, MOST_TOKENS - 1];
/** The model that makes tokens of words. */
const MODELS = ["BPE", "Unigram", "WordPiece"];
/** Longest word that WordPiece tries all pieces of, which takes the cube of its length. It is 100 in known tokenizers. */
const LONGEST_WORD = 200;

/** Longest mark of where a piece stands in its word. It is `</w>` or `##` in known tokenizers. */
const LONGEST_AFFIX = 64;

/** The tokens of a `tokenizer.json`. */
export interface Vocabulary {
  /** The number of each token. */
  ids: ReadonlyMap<string, number>;
  /** The token of each number. */
  tokens: ReadonlyMap<number, string>;
  /** Tokens that were added to those of the tokenizer's model. */
  added: ReadonlySet<string>;
  /** Added tokens that are no text, such as BOS. */
  special: ReadonlySet<string>;
}

/**
 * Reads the tokens, and checks all that is to be of a kind or size before anything is made of it.
 *
 * @param file The whole `tokenizer.json`.
 * @param vocabSize Rows of the model's matrices. Added tokens may have numbers beyond them: only texts with these cannot be
 * encoded.
 * @throws {CheckpointError} If a token or a number is none, or the tokenizer's model has tokens that the decoder lacks.
 */
export function readVocabulary(file: Fields, vocabSize: number): Vocabulary {
  const model = file.required("model", file.section("model"));
  const added = (file.list("added_tokens") ?? []).map((token, i) => {
    const fields = file.within(`added_tokens.${i}`, token);
    for (const flag of ["special", "lstrip", "rstrip", "normalized", "single_word"]) {
      fields.flag(flag);
    }
    return {
      token: fields.required("content", fields.text("content")),
      id: fields.required("id", fields.count("id", IDS)),
      isSpecial: fields.flag("special") ?? false,
    };
  });
  const addedTokens = new Set(added.map(({ token }) => token));
  const own = Array.isArray(model.values.vocab) ? scoredTokens(model) : numberedTokens(model);
  for (const [token, id] of own) {
    if (id >= vocabSize && !addedTokens.has(token)) {
      throw file.error(
        "its tokens must be of the model's vocabulary (take the tokenizer of this model)",
        {
          ...{ token, id, vocabSize },
        },
      );
    }
  }
  checkModel(model);
  const all = [...own, ...added.map(({ token, id }): [string, number] => [token, id])];
  return {
    ids: new Map(all),
    tokens: new Map(all.map(([token, id]) => [id, token])),
    added: addedTokens,
    special: new Set(added.filter(({ isSpecial }) => isSpecial).map(({ token }) => token)),
  };
}

/** Tokens as BPE and WordPiece have them: with their numbers. */
function numberedTokens(model: Fields): [token: string, id: number][] {
  const vocab = model.required("vocab", model.section("vocab"));
  return Object.keys(vocab.values).map((token) => {
    const id = vocab.values[token];
    return [token, isId(id) ? id : vocab.required(token, vocab.count(token, IDS))];
  });
}

/** Asked first, as there are many: what says what is wrong is slower. */
function isId(id: unknown): id is number {
  return Number.isInteger(id) && (id as number) >= IDS[0] && (id as number) <= IDS[1];
}

/** Tokens as Unigram has them: numbered in order, with scores. */
function scoredTokens(model: Fields): [token: string, id: number][] {
  const vocab = model.list("vocab")!;
  return vocab.map((entry, id) => {
    const [token, score] = Array.isArray(entry) ? entry : [];
    if (typeof token === "string" && Number.isFinite(score)) return [token, id];
    throw model.error('"vocab" must have a text and a score for each token', {
      [`vocab.${id}`]: entry,
    });
  });
}

/** Checks what else the tokenizer's model is made of. */
function checkModel(model: Fields): void {
  const type = model.required("type", model.text("type"));
  if (!MODELS.includes(type)) {
    throw model.error(`"type" must be one of ${MODELS.join(", ")}`, { type });
  }
  model.text("unk_token");
  for (const field of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    const affix = model.text(field) ?? "";
    if (affix.length <= LONGEST_AFFIX) continue;
    throw model.error(`"${field}" must have at most ${LONGEST_AFFIX} characters`, {
      [field]: affix,
    });
  }
  for (const field of ["fuse_unk", "byte_fallback", "ignore_merges"]) model.flag(field);
  model.count("unk_id", IDS);
  model.count("max_input_chars_per_word", [1, LONGEST_WORD]);
  model.list("merges")?.forEach((merge, i) => {
    const isPair = typeof merge === "string"
      ? merge.includes(" ")
      : Array.isArray(merge) && merge.length === 2 &&
        merge.every((symbol) => typeof symbol === "string");
    if (isPair) return;
    throw model.error('"merges" must have two texts each', { [`merges.${i}`]: merge });
  });
}
