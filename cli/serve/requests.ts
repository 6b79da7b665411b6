/** Requests of the OpenAI API, checked: what is unknown or not supported is refused by name. */
import { z } from "zod";
import { ApiError } from "./api_error.ts";

const MOST_CHOICES = 128;
const MOST_STOPS = 16;
const MOST_LOGPROBS = 20;

/** A parameter that clients send with the one value that changes nothing. */
const onlyDefault = (value: number | boolean | string) => z.literal(value).nullish();

const shared = {
  model: z.string(),
  n: z.int().min(1).max(MOST_CHOICES).nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(MOST_STOPS)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).nullish(),
  seed: z.int().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z.record(z.string().regex(/^\d+$/), z.number().min(-100).max(100)).nullish(),
  user: z.string().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  store: onlyDefault(false),
};

const completion = z.strictObject({
  ...shared,
  prompt: z.union([
    z.string(),
    z.array(z.string()).min(1),
    z.array(z.int().min(0)).min(1),
    z.array(z.array(z.int().min(0)).min(1)).min(1),
  ]),
  max_tokens: z.int().min(1).nullish(),
  logprobs: z.int().min(0).max(MOST_LOGPROBS).nullish(),
  echo: onlyDefault(false),
  best_of: onlyDefault(1),
});

const text = z.union([
  z.string(),
  z.array(z.strictObject({ type: z.literal("text"), text: z.string() })),
]);

const chat = z.strictObject({
  ...shared,
  messages: z.array(
    z.strictObject({
      role: z.enum(["system", "developer", "user", "assistant"]),
      content: text,
      name: z.string().optional(),
    }),
  ).min(1),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(MOST_LOGPROBS).nullish(),
  response_format: z.strictObject({ type: z.literal("text") }).nullish(),
});

/** A request for completions. */
export type CompletionRequest = z.infer<typeof completion>;
/** A request for the next message of a chat. */
export type ChatRequest = z.infer<typeof chat>;

/** Reads a request for completions. */
export function readCompletion(body: unknown): CompletionRequest {
  return read(completion, body);
}

/** Reads a request for the next message of a chat. */
export function readChat(body: unknown): ChatRequest {
  const request = read(chat, body);
  if (request.top_logprobs && !request.logprobs) {
    throw new ApiError(400, "top_logprobs needs logprobs: true beside it", {
      param: "top_logprobs",
    });
  }
  return request;
}

/** A message's text; one that comes in pieces is joined. */
export function textOf(content: z.infer<typeof text>): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("");
}

function read<Kind extends z.ZodType>(schema: Kind, body: unknown): z.infer<Kind> {
  const { success, data, error } = schema.safeParse(body);
  if (success) return data;
  const [issue] = error.issues;
  const param = [
    ...issue.path,
    ...(issue.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : []),
  ].join(".");
  const message = issue.code === "unrecognized_keys"
    ? `${param} is unknown, or not supported by this server: leave it out`
    : `${param || "the body"}: ${issue.message}`;
  throw new ApiError(400, message.slice(0, 500), { param: param || null, code: issue.code });
}
