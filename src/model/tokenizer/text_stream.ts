import type { Tokenizer } from "./tokenizer.ts";

/** What stands for bytes that are no UTF-8, an unfinished character's among them. */
const REPLACEMENT = "\uFFFD";

/**
 * Tokens as they come to text as it is complete: a character whose bytes are spread over tokens is held until its last one.
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
  /** Tokens whose text is out, as many as the text of those after them may depend on. */
  #before: readonly number[];
  #held: number[] = [];

  /**
   * Begins a stream.
   *
   * @param tokenizer What decodes.
   * @param before Tokens that the stream continues, whose text is out. The default is none.
   */
  constructor(tokenizer: Pick<Tokenizer, "decode">, before: readonly number[] = []) {
    this.#tokenizer = tokenizer;
    this.#before = before;
  }

  /** Takes tokens, and returns what text is complete by them. */
  push(tokens: readonly number[]): string {
    return tokens.map((token) => {
      this.#held.push(token);
      const text = this.#heldText();
      return text.endsWith(REPLACEMENT) ? "" : this.#release(text);
    }).join("");
  }

  /** Returns what was held back, as it will not be completed. */
  end(): string {
    return this.#release(this.#heldText());
  }

  #heldText(): string {
    const before = this.#tokenizer.decode(this.#before);
    return this.#tokenizer.decode([...this.#before, ...this.#held]).slice(before.length);
  }

  #release(text: string): string {
    if (this.#held.length > 0) [this.#before, this.#held] = [this.#held, []];
    return text;
  }
}
