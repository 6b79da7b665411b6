/** The text of one sequence as it comes: held back where a stop string may have begun, and ended where one is complete. */
import { TextStream } from "../../../src/model/tokenizer/text_stream.ts";
import type { Tokenizer } from "../../../src/model/tokenizer/tokenizer.ts";
import type { TokenLogprob } from "../../../src/model/mod.ts";
import type { GeneratedToken } from "./engine.ts";

/** Why a text is over. */
export type FinishReason = "stop" | "length";

/** A token, and what it adds to the text. */
export interface TextToken extends GeneratedToken {
  /** The text that is complete by it: none where it is a part of a character that others complete. */
  text: string;
  /** Where that begins in the text of the sequence, as its tokens have it, in UTF-16 units. */
  offset: number;
  /** The likeliest tokens, with the text that each would have completed in its place. */
  likeliest?: readonly (TokenLogprob & { text: string })[];
}

/** New text, and the tokens that came with it. */
export interface TextPart {
  text: string;
  tokens: readonly TextToken[];
}

/** Assembles a text from tokens. */
export class TextChoice {
  readonly #stream: TextStream;
  readonly #endTokens: ReadonlySet<number>;
  readonly #stops: readonly string[];
  readonly #maxTokens: number;
  #held = "";
  /** The length of the text by all tokens so far. */
  #length = 0;
  #count = 0;
  #finish: FinishReason | undefined;
  #isCut = false;

  /**
   * @param tokenizer What decodes.
   * @param options When the text is over: by tokens, by strings, which are not part of it, or by its length.
   */
  constructor(
    tokenizer: Pick<Tokenizer, "decode">,
    { prompt, endTokens, stops, maxTokens }: {
      prompt: readonly number[];
      endTokens: readonly number[];
      stops: readonly string[];
      maxTokens: number;
    },
  ) {
    this.#stream = new TextStream(tokenizer, prompt.slice(-8));
    this.#endTokens = new Set(endTokens);
    this.#stops = stops;
    this.#maxTokens = maxTokens;
  }

  /** Why it is over; undefined while it goes on. */
  get finish(): FinishReason | undefined {
    return this.#finish;
  }

  /** Tokens that were taken, the end token included. */
  get count(): number {
    return this.#count;
  }

  /** Takes tokens, up to the one that ends the text; returns what text is sure by them. */
  push(tokens: readonly GeneratedToken[]): TextPart {
    const taken: TextToken[] = [];
    let text = "";
    for (const token of tokens) {
      if (this.#finish) break;
      this.#count++;
      if (this.#endTokens.has(token.token)) {
        this.#finish = "stop";
        break;
      }
      const one = this.#take(token);
      taken.push(one);
      text += this.#release(one.text);
      if (this.#count >= this.#maxTokens) this.#finish ??= "length";
    }
    if (this.#finish) text += this.#end();
    return { text, tokens: taken };
  }

  #take({ likeliest, ...token }: GeneratedToken): TextToken {
    // Before the token is taken, as they would stand in its place.
    const others = likeliest?.map((one) => ({ ...one, text: this.#stream.peek(one.token) }));
    const text = this.#stream.push([token.token]);
    const offset = this.#length;
    this.#length += text.length;
    return { ...token, text, offset, ...(others && { likeliest: others }) };
  }

  /** Adds new text to what is held, and returns what no stop string can begin in. */
  #release(text: string): string {
    this.#held += text;
    const stop = this.#stops.map((stop) => this.#held.indexOf(stop)).filter((at) => at >= 0);
    if (stop.length > 0) {
      this.#finish = "stop";
      this.#isCut = true;
      return this.#held.slice(0, Math.min(...stop));
    }
    const begun = Math.max(0, ...this.#stops.map((stop) => beginningAtEnd(this.#held, stop)));
    const sure = this.#held.slice(0, this.#held.length - begun);
    this.#held = this.#held.slice(sure.length);
    return sure;
  }

  /** The text that was held back, as no more follows; empty where a stop string cut the text. */
  #end(): string {
    if (this.#isCut) return "";
    const rest = this.#release(this.#stream.end());
    return this.#isCut ? rest : rest + this.#held;
  }
}

/** The number of characters at the end of a text that are the beginning of `stop`. */
function beginningAtEnd(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (stop.startsWith(text.slice(-length))) return length;
  }
  return 0;
}
