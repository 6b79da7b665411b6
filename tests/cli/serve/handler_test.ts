// The endpoints over an engine that says what it is told to: shapes, refusals, streams, and who is cancelled.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { DeviceLostError, PoolExhaustedError } from "../../../mod.ts";
import { ApiKey } from "../../../cli/serve/api_key.ts";
import { ChatTemplate } from "../../../cli/serve/chat_template.ts";
import type { Engine, Generation, SequenceRequest } from "../../../cli/shared/generation/engine.ts";
import { Handler, type Limits } from "../../../cli/serve/handler.ts";

/** Letters are tokens; the last one ends a text. */
const LETTERS = [..."abcdefghij .!<>"];
const END = LETTERS.length;
const tokenizer = {
  vocabSize: END + 1,
  endOfText: [END],
  encode: (text: string) => [...text].map((letter) => LETTERS.indexOf(letter)),
  decode: (tokens: readonly number[]) => tokens.map((token) => LETTERS[token] ?? "").join(""),
};

const LIMITS: Limits = {
  ...{ maxBytes: 2000, timeout: 60_000, maxPrompt: 20, maxQueue: 3, requestTimeout: 60_000 },
};

/** An engine that answers each sequence by the next of some texts, letter by letter. */
class Parrot implements Engine {
  readonly contextLen = 40;
  readonly asked: SequenceRequest[] = [];
  readonly cancelled: number[] = [];
  waiting = 0;
  places = 1;
  constructor(readonly texts: readonly string[], readonly failure?: Error) {}

  submit(request: SequenceRequest): Generation {
    const index = this.asked.push(request) - 1;
    const tokens = tokenizer.encode(this.texts[index % this.texts.length]);
    const { failure, cancelled } = this;
    let isCancelled = false;
    return {
      cancel: () => {
        isCancelled = true;
        cancelled.push(index);
      },
      async *[Symbol.asyncIterator]() {
        for (const token of tokens) {
          await new Promise((resolve) => setTimeout(resolve));
          if (isCancelled) return;
          yield [
            request.logprobs === undefined ? { token } : {
              ...{ token, logprob: -0.5 },
              likeliest: [{ token, logprob: -0.5 }],
            },
          ];
        }
        if (failure) throw failure;
        yield [{ token: END }];
      },
    };
  }

  stats() {
    return {
      ...{ places: this.places, running: 1, waiting: this.waiting, seconds: 0.25 },
      pages: { total: 8, available: 3 },
      tokens: { prompt: 5, generated: 6 },
    };
  }

  destroy() {}
}

const TEMPLATE = {
  bos_token: { content: "<" },
  chat_template:
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' and loop.first %}" +
    "{{ raise_exception('begin with the user') }}{% endif %}{{ m.content }}.{% endfor %}" +
    "{% if add_generation_prompt %}>{% endif %}",
};

function handlerOf(engine: Engine, { key, chats = true, limits = {} }: {
  key?: string;
  chats?: boolean;
  limits?: Partial<Limits>;
} = {}): Handler {
  const template = chats ? ChatTemplate.of(TEMPLATE) : undefined;
  const served = { name: "parrot", created: 7, tokenizer, template };
  return new Handler(
    served,
    () => engine,
    { ...LIMITS, ...limits },
    key ? new ApiKey(key) : undefined,
  );
}

function post(path: string, body: unknown, init: RequestInit = {}): Request {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Request(`http://localhost${path}`, { method: "POST", body: text, ...init });
}

const complete = (body: Record<string, unknown>) =>
  post("/v1/completions", { model: "parrot", prompt: "abc", ...body });

/** The events of a stream, and whether it was closed as it should. */
async function eventsOf(response: Response): Promise<{ events: unknown[]; isDone: boolean }> {
  const lines = (await response.text()).split("\n\n").filter((line) => line !== "");
  const data = lines.map((line) => line.replace(/^data: /, ""));
  const isDone = data.at(-1) === "[DONE]";
  return { events: data.slice(0, isDone ? -1 : undefined).map((text) => JSON.parse(text)), isDone };
}

Deno.test("serve: a completion, with what was counted and asked", async () => {
  const engine = new Parrot(["hi. abc"]);
  const response = await handlerOf(engine).handle(complete({
    ...{ max_tokens: 9, temperature: 0.5, top_p: 0.9, top_k: 3, min_p: 0.1, seed: -1 },
    ...{ repetition_penalty: 1.2, frequency_penalty: -0.5, presence_penalty: 0.25 },
    logit_bias: { 3: -100 },
  }));
  assertEquals(response.status, 200);
  const { id, created, ...rest } = await response.json();
  assertEquals([id.startsWith("cmpl-"), Number.isInteger(created)], [true, true]);
  assertEquals(rest, {
    ...{ model: "parrot", object: "text_completion" },
    choices: [{ index: 0, text: "hi. abc", finish_reason: "stop", logprobs: null }],
    usage: { prompt_tokens: 3, completion_tokens: 8, total_tokens: 11 },
  });
  const [{ logitBias, ...asked }] = engine.asked;
  assertEquals([...logitBias], [[3, -100]]);
  assertEquals(asked, {
    ...{ tokens: [0, 1, 2], maxTokens: 9, endTokens: [END], logprobs: undefined },
    ...{
      temperature: 0.5,
      topP: 0.9,
      topK: 3,
      minP: 0.1,
      repetitionPenalty: 1.2,
      frequencyPenalty: -0.5,
      presencePenalty: 0.25,
      seed: 2 ** 32 - 1,
    },
  });
});

Deno.test("serve: a text ends before a stop string, wherever its pieces are cut, or at its length", async () => {
  const text = async (body: Record<string, unknown>) => {
    const engine = new Parrot(["abab. cd ab.!ef"]);
    const { choices: [{ text, finish_reason }] } =
      await (await handlerOf(engine).handle(complete(body))).json();
    return [text, finish_reason, engine.cancelled.length];
  };
  assertEquals(await text({ stop: "ab." }), ["ab", "stop", 1]);
  assertEquals(await text({ stop: ["cd!", "!"] }), ["abab. cd ab.", "stop", 1]);
  assertEquals(await text({ stop: ["zzz"] }), ["abab. cd ab.!ef", "stop", 1]);
  assertEquals(await text({ max_tokens: 3, stop: "abx" }), ["aba", "length", 1]);
  assertEquals(await text({ stop: "ef!" }), ["abab. cd ab.!ef", "stop", 1]);
});

Deno.test("serve: a stream says the same as the whole, for several texts at once", async () => {
  const request = { n: 2, stop: ".!", logprobs: 1, prompt: ["abc", "a"] };
  const texts = ["one cab", "a.! bad", "fig", "ace."].map((t) => t.replace(/[^a-j .!]/g, "a"));
  const limits = { maxQueue: 4 };
  const whole = await (await handlerOf(new Parrot(texts), { limits }).handle(complete(request)))
    .json();
  const response = await handlerOf(new Parrot(texts), { limits }).handle(
    complete({ ...request, stream: true, stream_options: { include_usage: true } }),
  );
  assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const { events, isDone } = await eventsOf(response);
  assertEquals(isDone, true);
  // deno-lint-ignore no-explicit-any
  const pieces = events as any[];
  assertEquals(pieces.at(-1).usage, whole.usage);
  for (const { index, text, finish_reason, logprobs } of whole.choices) {
    const own = pieces.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
    assertEquals(own.map(({ text }) => text).join(""), text);
    assertEquals(own.at(-1).finish_reason, finish_reason);
    assertEquals(own.flatMap(({ logprobs }) => logprobs?.tokens ?? []), logprobs.tokens);
  }
});

Deno.test("serve: a chat goes through the model's template, and its message comes back", async () => {
  const engine = new Parrot(["bad"]);
  const chat = (body: Record<string, unknown>) =>
    post("/v1/chat/completions", {
      model: "parrot",
      messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
      ...body,
    });
  const handler = handlerOf(engine);
  const { choices, object } = await (await handler.handle(
    chat({ logprobs: true, top_logprobs: 1, max_completion_tokens: 5 }),
  )).json();
  assertEquals([object, choices[0].message.content], ["chat.completion", "bad"]);
  assertEquals(choices[0].logprobs.content[1], {
    ...{ token: "a", logprob: -0.5, bytes: [97] },
    top_logprobs: [{ token: "a", logprob: -0.5, bytes: [97] }],
  });
  assertEquals(tokenizer.decode(engine.asked[0].tokens), "<hi.>");
  const { events } = await eventsOf(await handler.handle(chat({ stream: true })));
  // deno-lint-ignore no-explicit-any
  const deltas = (events as any[]).map(({ choices }) => choices[0].delta);
  assertEquals(deltas, [
    { role: "assistant", content: "b" },
    { content: "a" },
    { content: "d" },
    {},
  ]);
  const refused = await handler.handle(chat({ messages: [{ role: "assistant", content: "a" }] }));
  assertEquals(refused.status, 400);
  assertStringIncludes((await refused.json()).error.message, "begin with the user");
  const without = await handlerOf(engine, { chats: false }).handle(chat({}));
  assertStringIncludes((await without.json()).error.message, "has no chat template");
});

Deno.test("serve: each refusal names the parameter, in the shape that clients read", async () => {
  const engine = new Parrot(["a"]);
  const refuses = async (
    body: Record<string, unknown> | string,
    status: number,
    param: string | null,
    says: string,
  ) => {
    const request = typeof body === "string" ? post("/v1/completions", body) : complete(body);
    const response = await handlerOf(engine).handle(request);
    const { error } = await response.json();
    assertEquals([response.status, error.param], [status, param], error.message);
    assertStringIncludes(error.message, says);
    assertEquals(engine.asked.length, 0);
  };
  await refuses({ n: 0 }, 400, "n", "n:");
  await refuses({ stop: "" }, 400, "stop", "stop:");
  await refuses({ tools: [] }, 400, "tools", "tools is unknown, or not supported by this server");
  await refuses({ best_of: 2 }, 400, "best_of", "expected 1");
  await refuses({ model: "other" }, 404, "model", "there is no model other: there is parrot");
  await refuses({ prompt: "" }, 400, "prompt", "the prompt must have a token");
  await refuses({ prompt: [3, 99] }, 400, "prompt", "there is no token 99: the vocabulary has 16");
  await refuses({ prompt: "a".repeat(21) }, 400, "prompt", "a prompt at most 20");
  await refuses({ max_tokens: 38 }, 400, "prompt", "38 are to come, the context has 40");
  await refuses('{"model": "parr', 400, null, "the body must be JSON");
  await refuses(`{"model": "${"x".repeat(2000)}"}`, 413, null, "at most 2000 bytes");
  const bytes = new Uint8Array([0x7b, 0xff, 0x7d]);
  const bad = await handlerOf(engine).handle(post("/v1/completions", "", { body: bytes }));
  assertStringIncludes((await bad.json()).error.message, "the body must be UTF-8");
  const other = await handlerOf(engine).handle(new Request("http://localhost/v1/completions"));
  assertEquals([other.status, other.headers.get("allow")], [405, "POST"]);
  const none = await handlerOf(engine).handle(new Request("http://localhost/constructor"));
  assertEquals(none.status, 404);
});

Deno.test("serve: a full queue is said, with when to come again; a slow body is not waited for", async () => {
  const engine = new Parrot(["a"]);
  engine.waiting = 3;
  const full = await handlerOf(engine).handle(complete({}));
  assertEquals([full.status, full.headers.get("retry-after")], [429, "1"]);
  assertEquals((await full.json()).error.type, "rate_limit_error");
  // One runs and three wait in five places: two more fit, and those that may wait.
  engine.places = 5;
  const status = async (n: number) => (await handlerOf(engine).handle(complete({ n }))).status;
  assertEquals([await status(4), await status(5)], [200, 429]);
  const slow = new ReadableStream({ start: () => {} });
  const request = new Request("http://localhost/v1/completions", { method: "POST", body: slow });
  const hasty = handlerOf(engine, { limits: { timeout: 50 } });
  assertEquals((await hasty.handle(request)).status, 408);
});

Deno.test("serve: what takes too long is ended", async () => {
  const engine = new Parrot(["a".repeat(1000)]);
  const handler = handlerOf(engine, { limits: { requestTimeout: 10 } });
  const response = await handler.handle(complete({ max_tokens: 30 }));
  assertEquals([response.status, engine.cancelled], [408, [0, 0]]);
});

Deno.test("serve: a reader that goes away cancels its sequences", async () => {
  const engine = new Parrot(["abcdefgh".repeat(4)]);
  const response = await handlerOf(engine).handle(complete({ stream: true, n: 2, max_tokens: 30 }));
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  assertEquals(engine.cancelled.sort(), [0, 1]);
  const controller = new AbortController();
  const pending = handlerOf(engine).handle(complete({ max_tokens: 30 }));
  void pending;
  const aborted = new Request(complete({ max_tokens: 30 }), { signal: controller.signal });
  const answer = handlerOf(engine).handle(aborted);
  setTimeout(() => controller.abort(), 5);
  await answer;
  assertEquals(engine.cancelled.length > 2, true);
  await pending;
});

Deno.test("serve: a lost device is a 503, whole and in a stream", async () => {
  const engine = new Parrot(["ab"], new DeviceLostError("gone"));
  const response = await handlerOf(engine).handle(complete({}));
  assertEquals([response.status, (await response.json()).error.code], [503, "device_lost"]);
  const { events, isDone } = await eventsOf(
    await handlerOf(engine).handle(complete({ stream: true })),
  );
  // deno-lint-ignore no-explicit-any
  assertEquals([(events.at(-1) as any).error.code, isDone], ["device_lost", false]);
});

Deno.test("serve: a request of which one sequence cannot be had takes none", async () => {
  const engine = new Parrot(["ab"]);
  const submit = engine.submit.bind(engine);
  engine.submit = (request) => {
    if (engine.asked.length === 1) throw new PoolExhaustedError("full");
    return submit(request);
  };
  const response = await handlerOf(engine).handle(complete({ n: 2 }));
  assertEquals([response.status, engine.cancelled], [429, [0]]);
});

Deno.test("serve: a key is asked for, and the open pages are open", async () => {
  const handler = handlerOf(new Parrot(["a"]), { key: "secret" });
  for (const authorization of ["", "Bearer secre", "Bearer secrets", "secret"]) {
    const response = await handler.handle(
      post("/v1/completions", { model: "parrot", prompt: "a" }, { headers: { authorization } }),
    );
    assertEquals([response.status, (await response.json()).error.code], [401, "invalid_api_key"]);
  }
  const headers = { authorization: "Bearer secret" };
  assertEquals(
    (await handler.handle(post("/v1/completions", { model: "parrot", prompt: "a" }, { headers })))
      .status,
    200,
  );
  const get = async (path: string) =>
    await (await handler.handle(new Request(`http://localhost${path}`))).text();
  assertEquals(JSON.parse(await get("/health")), { status: "ok" });
  const metrics = await get("/metrics");
  for (
    const line of [
      'onehead_requests_total{status="401"} 4',
      'onehead_requests_total{status="200"} 2',
      'onehead_pages{state="held"} 5',
      "onehead_request_seconds_count 6",
      "onehead_busy_seconds_total 0.25",
    ]
  ) assertStringIncludes(metrics, line);
});

Deno.test("serve: on closing, what runs is finished and what is new is refused", async () => {
  const engine = new Parrot(["abc"]);
  const handler = handlerOf(engine);
  const running = handler.handle(complete({ stream: true }));
  const response = await running;
  const closed = handler.close();
  const refused = await handler.handle(complete({}));
  assertEquals([refused.status, (await refused.json()).error.code], [503, "closing"]);
  const { events, isDone } = await eventsOf(response);
  assertEquals([events.length, isDone], [4, true]);
  await closed;
  assertEquals((await handler.handle(new Request("http://localhost/health"))).status, 503);
});
