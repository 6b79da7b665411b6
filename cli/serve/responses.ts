/** Responses of the OpenAI API, whole and in pieces. */
import type { FinishReason, TextToken } from "../shared/generation/text_choice.ts";

/** The tokens of a request. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

/** A text of a response, or a piece of one. */
export interface Piece {
  index: number;
  text: string;
  tokens: readonly TextToken[];
  finish: FinishReason | null;
}

/** The fields of every body of a response. */
export interface ResponseHead {
  id: string;
  created: number;
  model: string;
}

/** Counts tokens. */
export function usageOf(prompt: number, completion: number): Usage {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
}

/** The form of a response: completions, or messages of a chat. */
export interface ResponseFormat {
  /** The whole response. */
  whole(head: ResponseHead, pieces: readonly Piece[], usage: Usage): unknown;
  /** An event of a stream; `isFirst` for the first one of a text. */
  event(head: ResponseHead, piece: Piece, isFirst: boolean): unknown;
  /** The event that tells the usage, at the end of a stream. */
  usage(head: ResponseHead, usage: Usage): unknown;
}

/** Completions. */
export function completionFormat(): ResponseFormat {
  const choice = ({ index, text, tokens, finish }: Piece) => ({
    ...{ index, text, finish_reason: finish },
    logprobs: tokens.some(({ logprob }) => logprob !== undefined)
      ? {
        tokens: tokens.map(({ text }) => text),
        token_logprobs: tokens.map(({ logprob }) => logprob),
        top_logprobs: tokens.map(({ likeliest = [] }) =>
          Object.fromEntries(firstOfTexts(likeliest).map(({ text, logprob }) => [text, logprob]))
        ),
        text_offset: tokens.map(({ offset }) => offset),
      }
      : null,
  });
  const object = "text_completion";
  return {
    whole: (head, pieces, usage) => ({ ...head, object, choices: pieces.map(choice), usage }),
    event: (head, piece) => ({ ...head, object, choices: [choice(piece)] }),
    usage: (head, usage) => ({ ...head, object, choices: [], usage }),
  };
}

/** The likeliest token of each text, as they come from the likeliest to the least likely: bytes of characters have none. */
function firstOfTexts(likeliest: NonNullable<TextToken["likeliest"]>) {
  return likeliest.filter(({ text }, i) => i === likeliest.findIndex((one) => one.text === text));
}

/** Messages of a chat. */
export function chatFormat(): ResponseFormat {
  const described = ({ text, logprob }: Pick<TextToken, "text" | "logprob">) => ({
    ...{ token: text, logprob, bytes: [...new TextEncoder().encode(text)] },
  });
  const logprobs = (tokens: readonly TextToken[]) =>
    tokens.some(({ logprob }) => logprob !== undefined)
      ? {
        content: tokens.map((token) => ({
          ...described(token),
          top_logprobs: (token.likeliest ?? []).map(described),
        })),
      }
      : null;
  return {
    whole: (head, pieces, usage) => ({
      ...{ ...head, object: "chat.completion" },
      choices: pieces.map(({ index, text, tokens, finish }) => ({
        ...{ index, finish_reason: finish, logprobs: logprobs(tokens) },
        message: { role: "assistant", content: text, refusal: null },
      })),
      usage,
    }),
    event: (head, { index, text, tokens, finish }, isFirst) => ({
      ...{ ...head, object: "chat.completion.chunk" },
      choices: [{
        ...{ index, finish_reason: finish, logprobs: logprobs(tokens) },
        delta: { ...(isFirst && { role: "assistant" }), ...(text !== "" && { content: text }) },
      }],
    }),
    usage: (head, usage) => ({ ...head, object: "chat.completion.chunk", choices: [], usage }),
  };
}
