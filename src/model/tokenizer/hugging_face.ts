/** Hugging Face's `tokenizer.json`: encoded by their own package, which is loaded where such a file is. */
import { sentence } from "../../base/check.ts";
import { CheckpointError } from "../../base/errors.ts";
import { excerpt } from "../../base/excerpt.ts";
import { type JsonObject, parseJsonObject } from "../../base/json.ts";
import { checkTokens } from "../check_tokens.ts";
import { decoding } from "./decoding.ts";
import { Fields } from "./fields.ts";
import { readSettings } from "./settings.ts";
import { readSteps } from "./steps.ts";
import { tokensBefore } from "./template.ts";
import { beginOfTexts, endOfTexts } from "./text_bounds.ts";
import type { Tokenizer, TokenizerOptions } from "./tokenizer.ts";
import { readVocabulary, type Vocabulary } from "./vocabulary.ts";

type Package = typeof import("@huggingface/tokenizers");

/**
 * Reads a `tokenizer.json`. All sizes, numbers and patterns in it are checked before the package sees it.
 *
 * @throws {CheckpointError} If it is no tokenizer, has tokens that the model does not know, or would never end.
 */
export async function parseHuggingFaceTokenizer(
  json: string,
  options: TokenizerOptions,
): Promise<Tokenizer> {
  const { file: name, vocabSize, endOfText = [], classEndOfText = [], warn = console.warn } =
    options;
  checkTokens("read a tokenizer's endOfText", endOfText, Infinity);
  checkTokens("read a tokenizer's classEndOfText", classEndOfText, Infinity);
  const file = new Fields(name, parseJsonObject(json, name));
  const settings = readSettings(options);
  const vocabulary = readVocabulary(file, vocabSize);
  readSteps(file, "normalizer");
  readSteps(file, "pre_tokenizer");
  const decoders = readSteps(file, "decoder");
  const template = tokensBefore(readSteps(file, "post_processor"), vocabulary);

  const subject = { name, vocabulary, vocabSize };
  const { ReplaceDecoder, Tokenizer } = await import("@huggingface/tokenizers");
  return readWithPackage(name, () =>
    new HuggingFaceTokenizer({
      ...subject,
      warn,
      tokenizer: new Tokenizer(encodingOf(file.values), {}),
      prefix: beginOfTexts(template.map(({ id }) => id), settings, { ...subject, warn }),
      endOfText: endOfTexts({ endOfText, classEndOfText }, settings, { ...subject, warn }),
      special: new Set([...vocabulary.special, ...settings.special]),
      decode: decoding(decoders, {
        added: vocabulary.added,
        compile: (pattern) =>
          new ReplaceDecoder({ type: "Replace", pattern, content: "" }).pattern!,
      }),
    }));
}

/** The task of the package: to make tokens of texts. The steps before and after are done here. */
function encodingOf(json: JsonObject): JsonObject {
  const { model, normalizer = null, pre_tokenizer = null, added_tokens } = json;
  const rest = { post_processor: null, decoder: null };
  return { model, normalizer, pre_tokenizer, added_tokens: added_tokens ?? [], ...rest };
}

class HuggingFaceTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly endOfText: readonly number[];
  readonly #name: string;
  readonly #tokenizer: InstanceType<Package["Tokenizer"]>;
  readonly #vocabulary: Vocabulary;
  readonly #prefix: readonly number[];
  readonly #special: ReadonlySet<string>;
  readonly #decode: (tokens: readonly string[]) => string;
  readonly #warn: (sentence: string) => void;
  /** Sentences that need not be said of each text. */
  readonly #told = new Set<string>();

  constructor(made: {
    name: string;
    vocabSize: number;
    endOfText: readonly number[];
    tokenizer: InstanceType<Package["Tokenizer"]>;
    vocabulary: Vocabulary;
    prefix: readonly number[];
    special: ReadonlySet<string>;
    decode: (tokens: readonly string[]) => string;
    warn: (sentence: string) => void;
  }) {
    this.#name = made.name;
    this.vocabSize = made.vocabSize;
    this.endOfText = made.endOfText;
    this.#tokenizer = made.tokenizer;
    this.#vocabulary = made.vocabulary;
    this.#prefix = made.prefix;
    this.#special = made.special;
    this.#decode = made.decode;
    this.#warn = made.warn;
  }

  encode(text: string): number[] {
    if (typeof text !== "string") {
      throw new TypeError(sentence("encode a text", "it must be a string", { text }));
    }
    const { ids, tokens } = readWithPackage(
      this.#name,
      () => this.#tokenizer.encode(text, { add_special_tokens: false }),
    );
    const all = [...this.#prefixOf(ids), ...ids];
    // The package gives null or undefined where its model has no token for the unknown.
    const bad = all.findIndex((id) => !(Number.isInteger(id) && id < this.vocabSize));
    if (bad < 0) return all;
    const id = all[bad];
    const token = this.#vocabulary.tokens.get(id) ?? tokens[bad - (all.length - ids.length)];
    throw new RangeError(
      sentence("encode a text", "the model has no row for a token of it (leave the token out)", {
        ...{ token, id, vocabSize: this.vocabSize },
      }),
    );
  }

  decode(tokens: readonly number[]): string {
    checkTokens("decode tokens", tokens, this.vocabSize);
    return this.#decode(
      tokens.map((id) => this.#vocabulary.tokens.get(id))
        .filter((token) => token !== undefined && !this.#special.has(token)) as string[],
    );
  }

  /** The tokens to put before those of a text: none where they begin so already. */
  #prefixOf(ids: readonly number[]): readonly number[] {
    const [bos] = this.#prefix;
    if (bos === undefined || ids[0] !== bos) return this.#prefix;
    const token = excerpt(this.#vocabulary.tokens.get(bos));
    this.#tellOnce(`The text begins with ${token} itself: it is not put before it once more.`);
    if (ids[1] === bos) {
      this.#tellOnce(`The text begins with ${token} twice: models are trained to see one.`);
    }
    return [];
  }

  #tellOnce(what: string): void {
    if (!this.#told.has(what)) this.#warn(what);
    this.#told.add(what);
  }
}

/** The package throws whatever comes of a field that it does not understand, some of them only when it encodes. */
function readWithPackage<Value>(file: string, read: () => Value): Value {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError(
      sentence(`read ${file}`, "it is no tokenizer of a known kind", { error: cause }),
      { cause },
    );
  }
}
