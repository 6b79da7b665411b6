/** An engine over a decoder of one sequence: those that come while it runs wait for their turn. */
import { sentence } from "../../../src/base/check.ts";
import { Turns } from "../../../src/base/turns.ts";
import type { Decoder } from "../../../src/model/decoder.ts";
import type { Engine, EngineStats, GeneratedToken, Generation, SequenceRequest } from "./engine.ts";

/** Tokens that come at a time: more wait longer for the first, fewer wait for the device more often. */
const PORTION = 8;

/** Generates the tokens of one sequence after the other. */
export class DecoderEngine implements Engine {
  readonly #decoder: Decoder;
  readonly #tokens = { prompt: 0, generated: 0 };
  readonly #turns = new Turns();
  #running = 0;
  #waiting = 0;
  #milliseconds = 0;

  /** @param decoder Used by the engine alone, and destroyed by it. */
  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  get contextLen(): number {
    return this.#decoder.maxTokens;
  }

  submit(request: SequenceRequest): Generation {
    checkSupported(request);
    let isCancelled = false;
    const cancelled = Promise.withResolvers<void>();
    const isOver = () => isCancelled;
    const run = () => this.#inTurn(request, { isOver, cancelled: cancelled.promise });
    this.#waiting++;
    let isCounted = true;
    const uncount = () => {
      if (isCounted) this.#waiting--;
      isCounted = false;
    };
    return {
      cancel() {
        isCancelled = true;
        cancelled.resolve();
        uncount();
      },
      async *[Symbol.asyncIterator]() {
        uncount();
        if (!isCancelled) yield* run();
      },
    };
  }

  stats(): EngineStats {
    const [running, waiting] = [
      Math.min(1, this.#running),
      this.#waiting + Math.max(0, this.#running - 1),
    ];
    const tokens = { ...this.#tokens };
    return { places: 1, running, waiting, tokens, seconds: this.#milliseconds / 1000 };
  }

  destroy(): void {
    this.#decoder.destroy();
  }

  /** Runs a sequence when those before it are over, unless it is cancelled while it waits. */
  async *#inTurn(
    request: SequenceRequest,
    { isOver, cancelled }: { isOver: () => boolean; cancelled: Promise<void> },
  ): AsyncGenerator<readonly GeneratedToken[]> {
    const end = Promise.withResolvers<void>();
    this.#running++;
    try {
      const turn = new Promise<void>((begin) =>
        this.#turns.take(() => {
          begin();
          return end.promise;
        })
      );
      await Promise.race([turn, cancelled]);
      yield* this.#run(request, isOver);
    } finally {
      this.#running--;
      end.resolve();
    }
  }

  async *#run(
    { tokens, maxTokens, endTokens, ...sampling }: SequenceRequest,
    isOver: () => boolean,
  ): AsyncGenerator<readonly GeneratedToken[]> {
    if (isOver()) return;
    const start = performance.now();
    try {
      this.#decoder.clear();
      await this.#decoder.feed(tokens);
      this.#tokens.prompt += tokens.length;
      const options = { ...sampling, tokens: maxTokens, batch: PORTION };
      for await (const portion of this.#decoder.generate(options)) {
        if (isOver()) return;
        this.#tokens.generated += portion.length;
        yield portion.map((token) => ({ token }));
        if (isOver() || portion.some((token) => endTokens.includes(token))) return;
      }
    } finally {
      this.#milliseconds += performance.now() - start;
    }
  }
}

/** Throws for what the decoder does not tell. */
function checkSupported({ logprobs }: SequenceRequest): void {
  if (logprobs === undefined) return;
  throw new RangeError(
    sentence("generate tokens", "this model's tokens have no log-probabilities (leave it out)", {
      logprobs,
    }),
  );
}
