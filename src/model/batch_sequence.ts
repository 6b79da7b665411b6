/** A sequence of a batch, as its reader sees it. */
import type { TokenLogprob } from "./sampler.ts";
import type { Sampling } from "./sampling.ts";

/** Options of {@linkcode Batch.add}. */
export interface BatchSequenceOptions extends Partial<Sampling> {
  /** The prompt. */
  tokens: readonly number[];
  /** Most new tokens. */
  maxTokens: number;
  /** Tokens that end the sequence; the one that does is the last that is generated. The default is none. */
  endTokens?: readonly number[];
  /**
   * Called with each new token: whether the sequence ends with it, as where a stop string is complete. The default is never.
   */
  endsWith?: (token: number) => boolean;
  /**
   * How many of the last tokens of the prompt penalties count as generated, where a text goes on that was interrupted. The
   * default is 0.
   */
  generated?: number;
  /** The number of likeliest tokens whose log-probabilities come with each token, up to 20; absent where none are wanted. */
  logprobs?: number;
}

/** A token that was generated. */
export interface GeneratedToken {
  /** The token. */
  token: number;
  /** Its log-probability by the model's own logits, before any adjustment; there where it was asked for. */
  logprob?: number;
  /** The likeliest tokens by these, the likeliest first. */
  likeliest?: readonly TokenLogprob[];
}

/** Why a sequence is over: by one of its end tokens or by `endsWith`, by its length, or by {@linkcode BatchSequence.cancel}. */
export type BatchFinish = "end" | "length" | "cancelled";

/**
 * A sequence of a {@linkcode Batch}: its new tokens as they come, a few at a time. It may be iterated once; whoever reads
 * slowly holds up nobody. Iterating throws a `GpuWorkError` where the GPU refused some work, or the memory for penalties, biases
 * or log-probabilities that no other sequence asked for before, or a logit is not a number; and a `DeviceLostError` where the
 * device is lost.
 */
export interface BatchSequence extends AsyncIterable<readonly GeneratedToken[]> {
  /** Why it is over; undefined while it goes on, and where an error ended it. */
  readonly finish: BatchFinish | undefined;
  /** Ends it: its pages are free at the next step, and no more tokens come. */
  cancel(): void;
}

/** Tokens on their way from the batch to the reader of a sequence. */
export class TokenQueue implements BatchSequence {
  readonly #cancel: () => void;
  #unread: GeneratedToken[] = [];
  #finish: BatchFinish | undefined;
  #error: unknown;
  #wake = () => {};

  /** @param cancel Told when the reader wants no more. */
  constructor(cancel: () => void) {
    this.#cancel = cancel;
  }

  get finish(): BatchFinish | undefined {
    return this.#finish;
  }

  cancel(): void {
    this.#cancel();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly GeneratedToken[], void, undefined> {
    try {
      while (true) {
        if (this.#unread.length > 0) {
          const tokens = this.#unread;
          this.#unread = [];
          yield tokens;
        } else if (this.#error !== undefined) throw this.#error;
        else if (this.#finish) return;
        else await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      this.cancel();
    }
  }

  /** Hands over new tokens, and why it is over if it is. */
  push(tokens: readonly GeneratedToken[], finish?: BatchFinish): void {
    this.#unread.push(...tokens);
    this.#finish = finish;
    this.#wake();
  }

  /** Ends it by an error. */
  fail(error: unknown): void {
    this.#error = error;
    this.#wake();
  }
}
