import {
  checkFunction,
  checkNumber,
  checkNumbers,
  checkObject,
  checkString,
} from "../../base/check.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Stands for bytes that are no UTF-8, an unfinished character's among them. */
const REPLACEMENTS = /\uFFFD+$/;
/** Tokens that are kept so that those after them are decoded as in the whole text. */
const CONTEXT = 8;

const BEGIN = "begin a TextStream";
const GO_ON = "go on with a TextStream";

/**
 * Tokens as they come to text as it is complete: a character whose bytes are spread over tokens is held until its last one.
 * All portions together are what {@linkcode Tokenizer.decode} makes of all tokens at once, wherever they are cut.
 *
 * @example Two tokens make one character
 * ```ts
 * import { TextStream } from "@onehead/attention/decoder";
 *
 * const bytes = [[0xc3], [0xa9]];
 * const stream = new TextStream({
 *   decode: (tokens) => new TextDecoder().decode(Uint8Array.from(tokens.flatMap((i) => bytes[i]))),
 * });
 * console.log(stream.push([0]), stream.push([1])); // "" "é"
 * ```
 */
export class TextStream {
  readonly #tokenizer: Pick<Tokenizer, "decode">;
  /** The last tokens. */
  #tokens: readonly number[] = [];
  /** The length of their text that is out. */
  #length = 0;

  /**
   * Begins a stream.
   *
   * @param tokenizer What decodes.
   * @param before Tokens that the stream continues, whose text is out. The default is none.
   * @throws {TypeError} If a value is of the wrong kind, here and in what follows.
   */
  constructor(tokenizer: Pick<Tokenizer, "decode">, before: readonly number[] = []) {
    checkObject(BEGIN, "tokenizer", tokenizer);
    checkFunction(BEGIN, "tokenizer.decode", tokenizer.decode);
    checkNumbers(BEGIN, "before", before);
    this.#tokenizer = tokenizer;
    this.#take(before);
  }

  /**
   * Takes tokens.
   *
   * @param tokens The next ones of the text.
   * @returns The text that is complete by them; empty within a character.
   */
  push(tokens: readonly number[]): string {
    checkNumbers(GO_ON, "tokens", tokens);
    return Array.from(tokens, (token) => this.#take([token])).join("");
  }

  /**
   * Says what text a token would complete, and does not take it.
   *
   * @param token A token that may come next.
   * @returns The text; empty within a character.
   */
  peek(token: number): string {
    checkNumber(GO_ON, "token", token);
    return this.#decoded([...this.#tokens, token]).replace(REPLACEMENTS, "").slice(this.#length);
  }

  /**
   * Ends the text.
   *
   * @returns What was held back, as it will not be completed.
   */
  end(): string {
    return this.#release(this.#decoded(this.#tokens));
  }

  #take(tokens: readonly number[]): string {
    this.#tokens = [...this.#tokens, ...tokens];
    const text = this.#decoded(this.#tokens);
    const complete = text.replace(REPLACEMENTS, "");
    const released = this.#release(complete);
    if (complete === text && this.#tokens.length >= 2 * CONTEXT) this.#forget();
    return released;
  }

  #decoded(tokens: readonly number[]): string {
    const text = this.#tokenizer.decode(tokens);
    checkString(GO_ON, "text of the tokenizer", text);
    return text;
  }

  #release(text: string): string {
    const released = text.slice(this.#length);
    this.#length = Math.max(this.#length, text.length);
    return released;
  }

  /** Keeps the last tokens alone, if they have text: what a decoder does to a text's first words is done by then. */
  #forget(): void {
    const tokens = this.#tokens.slice(-CONTEXT);
    const text = this.#decoded(tokens);
    if (text === "") return;
    this.#tokens = tokens;
    this.#length = text.length;
  }
}
