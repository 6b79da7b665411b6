/** The HTTP endpoints, apart from any socket: from a request to a response. */
import { DeviceLostError, PoolExhaustedError } from "../../mod.ts";
import { NoWorkerError, WorkerLostError } from "../../src/cluster/mod.ts";
import type { Tokenizer } from "../../src/model/tokenizer/tokenizer.ts";
import { ApiError, unavailable } from "./api_error.ts";
import type { ApiKey } from "./api_key.ts";
import { type BodyLimits, readJson } from "./body.ts";
import type { ChatTemplate } from "./chat_template.ts";
import type { Engine, Generation, SequenceRequest } from "../shared/generation/engine.ts";
import { eventStream } from "./event_stream.ts";
import { Metrics } from "./metrics.ts";
import {
  type ChatRequest,
  type CompletionRequest,
  readChat,
  readCompletion,
  textOf,
} from "./requests.ts";
import {
  chatFormat,
  completionFormat,
  type Piece,
  type ResponseFormat,
  type ResponseHead,
  usageOf,
} from "./responses.ts";
import { TextChoice } from "../shared/generation/text_choice.ts";

/** The model that the endpoints serve. */
export interface Served {
  /** The name that clients ask for. */
  name: string;
  /** Seconds since 1970 at which it was opened. */
  created: number;
  tokenizer: Tokenizer;
  /** The template that makes a prompt of a chat; absent where the model was not trained to chat. */
  template: ChatTemplate | undefined;
}

/** Limits of requests. */
export interface Limits extends BodyLimits {
  /** Most tokens of a prompt. */
  maxPrompt: number;
  /** Most sequences that are taken beyond the engine's places. */
  maxQueue: number;
  /** Milliseconds until a request must be over. */
  requestTimeout: number;
}

/** Most new tokens where a request names none. */
const DEFAULT_TOKENS = 256;

/** Serves a model over an engine. */
export class Handler {
  readonly #served: Served;
  readonly #engine: () => Engine;
  readonly #limits: Limits;
  readonly #key: ApiKey | undefined;
  readonly #metrics = new Metrics();
  #isClosing = false;
  #running = 0;
  #idle: (() => void) | undefined;

  /** @param engine The engine of the moment: another one once a device was lost. */
  constructor(served: Served, engine: () => Engine, limits: Limits, key?: ApiKey) {
    this.#served = served;
    this.#engine = engine;
    this.#limits = limits;
    this.#key = key;
  }

  /** Answers a request; whatever goes wrong is a response too. */
  readonly handle = async (request: Request): Promise<Response> => {
    const start = performance.now();
    const done = this.#begin();
    let response: Response;
    try {
      response = await this.#route(request);
    } catch (error) {
      response = apiErrorOf(error).toResponse();
    }
    // A stream is over when its body is.
    const end = () => {
      this.#metrics.count(response.status, (performance.now() - start) / 1000);
      done();
    };
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
      end();
      return response;
    }
    return withEnd(response, end);
  };

  /** Refuses new requests; resolves when those under way are over. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => this.#idle = resolve);
  }

  #begin(): () => void {
    this.#running++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      if (--this.#running === 0) this.#idle?.();
    };
  }

  async #route(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const routes: Record<string, [method: string, answer: () => Response | Promise<Response>]> = {
      "/health": ["GET", () => this.#health()],
      "/metrics": ["GET", () =>
        new Response(this.#metrics.text(this.#engine().stats()), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        })],
      "/v1/models": ["GET", () => Response.json({ object: "list", data: [this.#model()] })],
      [`/v1/models/${this.#served.name}`]: ["GET", () => Response.json(this.#model())],
      "/v1/completions": ["POST", () => this.#completions(request)],
      "/v1/chat/completions": ["POST", () => this.#chat(request)],
    };
    const route = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
    if (!route) {
      const known = Object.keys(routes).join(", ");
      throw new ApiError(404, `there is no ${pathname}: there are ${known}`.slice(0, 500), {
        code: "not_found",
      });
    }
    const [method, answer] = route;
    if (request.method !== method) {
      throw new ApiError(405, `${pathname} takes ${method}, and not ${request.method}`, {
        ...{ code: "method_not_allowed", headers: { allow: method } },
      });
    }
    if (pathname.startsWith("/v1/")) await this.#key?.check(request);
    return await answer();
  }

  #health(): Response {
    const status = this.#isClosing ? "closing" : "ok";
    return Response.json({ status }, { status: this.#isClosing ? 503 : 200 });
  }

  #model() {
    const { name, created } = this.#served;
    const { contextLen } = this.#engine();
    return { id: name, object: "model", created, owned_by: "onehead", max_model_len: contextLen };
  }

  async #completions(request: Request): Promise<Response> {
    const body = readCompletion(await readJson(request, this.#limits));
    const { prompt } = body;
    const prompts: readonly (string | readonly number[])[] = typeof prompt === "string"
      ? [prompt]
      : typeof prompt[0] === "number"
      ? [prompt as number[]]
      : prompt as (string | number[])[];
    const tokens = prompts.map((prompt) =>
      typeof prompt === "string" ? this.#served.tokenizer.encode(prompt) : prompt
    );
    const logprobs = body.logprobs ?? undefined;
    return await this.#answer("cmpl", request, body, tokens, {
      maxTokens: body.max_tokens,
      logprobs,
      format: completionFormat(),
    });
  }

  async #chat(request: Request): Promise<Response> {
    const body = readChat(await readJson(request, this.#limits));
    const { template, tokenizer, name } = this.#served;
    if (!template) {
      throw new ApiError(
        400,
        `${name} has no chat template: ask /v1/completions, or serve a model that was trained to chat`,
        { code: "no_chat_template" },
      );
    }
    const messages = body.messages.map(({ role, content }) => ({ role, content: textOf(content) }));
    return await this.#answer("chatcmpl", request, body, [
      tokenizer.encode(template.render(messages)),
    ], {
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      logprobs: body.logprobs ? body.top_logprobs ?? 0 : undefined,
      format: chatFormat(),
    });
  }

  async #answer(
    kind: string,
    request: Request,
    body: CompletionRequest | ChatRequest,
    prompts: readonly (readonly number[])[],
    { maxTokens, logprobs, format }: {
      maxTokens: number | null | undefined;
      logprobs: number | undefined;
      format: ResponseFormat;
    },
  ): Promise<Response> {
    const { name, tokenizer } = this.#served;
    if (this.#isClosing) throw unavailable("the server is closing", "closing");
    if (body.model !== name) {
      throw new ApiError(404, `there is no model ${body.model}: there is ${name}`.slice(0, 500), {
        ...{ param: "model", code: "model_not_found" },
      });
    }
    const engine = this.#engine();
    const stops = typeof body.stop === "string" ? [body.stop] : body.stop ?? [];
    const choices = prompts.flatMap((tokens) => {
      this.#checkPrompt(tokens, maxTokens, engine.contextLen);
      const most = maxTokens ?? Math.min(DEFAULT_TOKENS, engine.contextLen - tokens.length);
      return Array.from({ length: body.n ?? 1 }, (_, i) => ({
        request: sequenceOf(body, tokens, { most, logprobs, turn: i, ends: tokenizer.endOfText }),
        choice: new TextChoice(tokenizer, {
          ...{ prompt: tokens, endTokens: tokenizer.endOfText, stops, maxTokens: most },
        }),
      }));
    });
    const { places, running, waiting } = engine.stats();
    // Those that came since the last step wait for the next one, with places or without.
    if (running + waiting + choices.length > places + this.#limits.maxQueue) {
      throw tooMany(
        `the queue is full: ${running} sequences run in ${places} places, and ${waiting} wait already`,
      );
    }
    const generations = submitAll(engine, choices.map(({ request }) => request));
    const cancel = () => generations.forEach((generation) => generation.cancel());
    const timer = setTimeout(cancel, this.#limits.requestTimeout);
    const texts = choices.map(({ choice }, index) => ({
      index,
      choice,
      generation: generations[index],
    }));
    const head: ResponseHead = {
      id: `${kind}-${crypto.randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: name,
    };
    const usage = () =>
      usageOf(
        prompts.reduce((sum, { length }) => sum + length, 0),
        choices.reduce((sum, { choice }) => sum + choice.count, 0),
      );
    const run = async (write: (piece: Piece) => void) => {
      try {
        await Promise.all(texts.map((text) => follow(text, write)));
      } catch (error) {
        cancel();
        throw error;
      } finally {
        clearTimeout(timer);
      }
    };

    if (body.stream) {
      const seen = new Set<number>();
      return eventStream(
        async ({ send }) => {
          await run((piece) => {
            send(format.event(head, piece, !seen.has(piece.index)));
            seen.add(piece.index);
          });
          if (body.stream_options?.include_usage) send(format.usage(head, usage()));
        },
        { onError: (error) => apiErrorOf(error).body, onCancel: cancel },
      );
    }
    request.signal.addEventListener("abort", cancel);
    const whole = texts.map(({ index }): Piece => ({ index, text: "", tokens: [], finish: null }));
    await run(({ index, text, tokens, finish }) => {
      const { text: before, tokens: earlier } = whole[index];
      whole[index] = { index, text: before + text, tokens: [...earlier, ...tokens], finish };
    });
    return Response.json(format.whole(head, whole, usage()));
  }

  #checkPrompt(
    tokens: readonly number[],
    maxTokens: number | null | undefined,
    contextLen: number,
  ): void {
    const { maxPrompt } = this.#limits;
    const { vocabSize } = this.#served.tokenizer;
    const refuse = (message: string, code: string) => {
      throw new ApiError(400, message, { param: "prompt", code });
    };
    if (tokens.length === 0) refuse("the prompt must have a token", "empty_prompt");
    const unknown = tokens.find((token) => token >= vocabSize);
    if (unknown !== undefined) {
      refuse(`there is no token ${unknown}: the vocabulary has ${vocabSize}`, "unknown_token");
    }
    const most = Math.min(maxPrompt, contextLen - (maxTokens ?? 1));
    if (tokens.length > most) {
      refuse(
        `prompt and new tokens must fit: the prompt has ${tokens.length} tokens, ${
          maxTokens ?? 1
        } are to come, ` +
          `the context has ${contextLen}, and a prompt at most ${maxPrompt}`,
        "context_length_exceeded",
      );
    }
  }
}

/** Follows a sequence to the end of its text. */
async function follow(
  { index, choice, generation }: { index: number; choice: TextChoice; generation: Generation },
  write: (piece: Piece) => void,
): Promise<void> {
  for await (const tokens of generation) {
    const part = choice.push(tokens);
    const finish = choice.finish ?? null;
    if (part.text !== "" || part.tokens.length > 0 || finish) write({ index, ...part, finish });
    if (!finish) continue;
    generation.cancel();
    return;
  }
  throw new ApiError(408, "the request took too long, and was ended", {
    ...{ kind: "server_error", code: "timeout" },
  });
}

/** Takes all sequences of a request, or none. */
function submitAll(engine: Engine, requests: readonly SequenceRequest[]): Generation[] {
  const taken: Generation[] = [];
  try {
    for (const request of requests) taken.push(engine.submit(request));
    return taken;
  } catch (error) {
    for (const generation of taken) generation.cancel();
    throw error;
  }
}

function sequenceOf(
  body: CompletionRequest | ChatRequest,
  tokens: readonly number[],
  { most, logprobs, turn, ends }: {
    most: number;
    logprobs: number | undefined;
    turn: number;
    ends: readonly number[];
  },
): SequenceRequest {
  const seed = body.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  return {
    ...{ tokens, maxTokens: most, endTokens: ends, logprobs },
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    topK: body.top_k ?? 0,
    minP: body.min_p ?? 0,
    repetitionPenalty: body.repetition_penalty ?? 1,
    frequencyPenalty: body.frequency_penalty ?? 0,
    presencePenalty: body.presence_penalty ?? 0,
    logitBias: new Map(
      Object.entries(body.logit_bias ?? {}).map(([token, bias]) => [Number(token), bias]),
    ),
    seed: (seed + turn) >>> 0,
  };
}

/** The error that a client gets for what went wrong. */
function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof DeviceLostError) {
    return unavailable("the GPU was lost: try again, another one is being opened", "device_lost");
  }
  if (error instanceof NoWorkerError) return unavailable(error.message, "no_worker");
  if (error instanceof WorkerLostError) return unavailable(error.message, "worker_lost");
  if (error instanceof PoolExhaustedError) return tooMany(error.message);
  if (error instanceof RangeError) return new ApiError(400, error.message.slice(0, 500));
  console.error(error);
  return new ApiError(500, "the server failed", { kind: "server_error", code: "internal" });
}

function tooMany(message: string): ApiError {
  return new ApiError(429, message, {
    ...{ kind: "rate_limit_error", code: "queue_full", headers: { "retry-after": "1" } },
  });
}

/** A response whose end, or whose reader's going away, is told. */
function withEnd(response: Response, end: () => void): Response {
  const reader = response.body!.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (!done) return controller.enqueue(value);
      controller.close();
      end();
    },
    async cancel(reason) {
      await reader.cancel(reason);
      end();
    },
  });
  return new Response(body, response);
}
