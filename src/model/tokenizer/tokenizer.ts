/** From text to tokens and back. */
export interface Tokenizer {
  /** Tokens that the model knows: rows of its matrices. */
  readonly vocabSize: number;
  /** Tokens after which a text is over. */
  readonly endOfText: readonly number[];
  /**
   * The tokens of a text, with those before it that the model was trained to see, such as BOS; a text that begins with BOS
   * itself gets no second one.
   *
   * @throws {TypeError} If the text is no string.
   * @throws {RangeError} If the text needs a token that the tokenizer or the model lacks.
   * @throws {CheckpointError} If the tokenizer's file has a step that cannot be done.
   */
  encode(text: string): number[];
  /**
   * The text of tokens; those that have none, such as BOS, give none. Bytes that are no UTF-8, as where tokens end inside
   * a character, become U+FFFD.
   *
   * @throws {TypeError} If a token is no number.
   * @throws {RangeError} If a token is not of the vocabulary.
   */
  decode(tokens: readonly number[]): string;
}

/** The model and the settings that a tokenizer is read for. */
export interface TokenizerOptions {
  /** The file's name, for errors and for its format: Hugging Face's where it ends in `.json`, llama2.c's otherwise. */
  file: string;
  /** Tokens that the model knows: rows of its matrices. */
  vocabSize: number;
  /** Text of the `tokenizer_config.json` beside a `tokenizer.json`: its BOS, and the token that ends a text. */
  config?: string;
  /** Text of the `special_tokens_map.json` beside it, for what `tokenizer_config.json` leaves out. */
  specialTokensMap?: string;
  /** Tokens that end a text by the model's own files, as a checkpoint has them, besides the tokenizer's. */
  endOfText?: readonly number[];
  /** Tokens that end a text where no file names any, as the checkpoint's configuration class has them. */
  classEndOfText?: readonly number[];
  /** Told, in a sentence, what is odd and was taken nevertheless. The default is `console.warn`. */
  warn?: (sentence: string) => void;
}
