/** Sequences and their tokens as JSON, as gateway and worker exchange them. */
import { z } from "zod";
import { MessageError } from "../../../src/cluster/errors.ts";
import { sentence } from "../../../src/base/check.ts";
import type { EngineStats, GeneratedToken, SequenceRequest } from "../generation/engine.ts";
import { readMessage } from "./read_message.ts";

const token = z.int().min(0);
const request = z.strictObject({
  tokens: z.array(token).min(1),
  maxTokens: z.int().min(1),
  endTokens: z.array(token),
  temperature: z.number().min(0),
  topP: z.number().gt(0).max(1),
  topK: z.int().min(0),
  minP: z.number().min(0).max(1),
  repetitionPenalty: z.number().gt(0),
  frequencyPenalty: z.number(),
  presencePenalty: z.number(),
  logitBias: z.array(z.tuple([token, z.number()])),
  seed: z.int().min(0).max(2 ** 32 - 1),
  logprobs: z.int().min(0).optional(),
  generated: z.int().min(0).optional(),
});
/** A log-probability of zero likelihood is minus infinity, which JSON has as null. */
const logprob = z.number().nullable().transform((value) => value ?? -Infinity);
const generated = z.array(z.strictObject({
  token,
  logprob: logprob.optional(),
  likeliest: z.array(z.strictObject({ token, logprob })).optional(),
}));
const count = z.int().min(0);
const state = z.object({
  contextLen: count,
  maxQueue: count,
  places: count,
  running: count,
  waiting: count,
  pages: z.object({ total: count, available: count }).optional(),
});

/** What a worker says of itself: the work under way, and the room that it has. */
export interface WorkerState extends Pick<EngineStats, "places" | "running" | "waiting" | "pages"> {
  /** Most tokens of a sequence, its prompt included. */
  contextLen: number;
  /** Sequences that wait at a worker that takes no more. */
  maxQueue: number;
}

/** A sequence as JSON. */
export function sequenceMessage({ logitBias, ...fields }: SequenceRequest): unknown {
  return { ...fields, logitBias: [...logitBias] };
}

/**
 * Reads a sequence.
 *
 * @throws {MessageError} If a field is missing, unknown or out of range.
 */
export function readSequence(value: unknown): SequenceRequest {
  const { logitBias, ...fields } = readMessage("a sequence", request, value);
  return { ...fields, logitBias: new Map(logitBias) };
}

/**
 * Reads tokens.
 *
 * @throws {MessageError} If a field is missing, unknown or out of range, or a token is none of the vocabulary.
 */
export function readTokens(value: unknown, vocabSize: number): GeneratedToken[] {
  const tokens = readMessage("tokens", generated, value);
  const all = tokens.flatMap((one) => [one, ...one.likeliest ?? []]);
  const unknown = all.find(({ token }) => token >= vocabSize);
  if (!unknown) return tokens;
  const rule = "they must be of the vocabulary";
  throw new MessageError(sentence("read tokens", rule, { token: unknown.token, vocabSize }));
}

/** Reads what a worker says of itself; undefined if it is not that. */
export function readState(value: unknown): WorkerState | undefined {
  return state.safeParse(value).data;
}
