import { parseHuggingFaceTokenizer } from "./hugging_face_tokenizer.ts";
import { parseLlama2cTokenizer } from "./llama2c_tokenizer.ts";

/** From text to tokens and back. */
export interface Tokenizer {
  /** Tokens that the model knows. */
  readonly vocabSize: number;
  /** Tokens after which a text is over. */
  readonly endOfText: readonly number[];
  /** The tokens of a text, with those before it that the model was trained to see, such as BOS. */
  encode(text: string): number[];
  /**
   * The text of tokens; those that have none, such as BOS, give none. Bytes that are no UTF-8, as where tokens end inside
   * a character, become U+FFFD.
   *
   * @throws {RangeError} If a token is not of the vocabulary.
   */
  decode(tokens: readonly number[]): string;
}

/** What a tokenizer is read for. */
export interface TokenizerOptions {
  /** The file's name, for errors and for its format: Hugging Face's where it ends in `.json`, llama2.c's otherwise. */
  file: string;
  /** Tokens that the model knows. */
  vocabSize: number;
  /** Text of the `tokenizer_config.json` beside a `tokenizer.json`, which tells the token that ends a text. */
  config?: string;
}

/**
 * Reads a tokenizer: the file of llama2.c, or Hugging Face's `tokenizer.json`.
 *
 * @param bytes The whole file.
 * @param options What it is called, and the model that it is for.
 * @returns The tokenizer.
 * @throws {CheckpointError} If the file is damaged or cut short, or has another vocabulary than the model.
 *
 * @example
 * ```ts ignore
 * import { parseTokenizer } from "@onehead/attention/decoder";
 *
 * const file = "tok512.bin";
 * const tokenizer = await parseTokenizer(await Deno.readFile(file), { file, vocabSize: 512 });
 * console.log(tokenizer.encode("Once upon a time")); // [1, 403, 407, 261, 378]
 * ```
 */
export async function parseTokenizer(
  bytes: Uint8Array,
  options: TokenizerOptions,
): Promise<Tokenizer> {
  return options.file.endsWith(".json")
    ? await parseHuggingFaceTokenizer(new TextDecoder().decode(bytes), options)
    : parseLlama2cTokenizer(bytes, options);
}
