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
