/**
 * The protocol of answers, version 1. All messages are JSON.
 *
 * | from | to | what |
 * |---|---|---|
 * | asker | `prefix.service.ID` | a request: `{ version, fingerprint, request }`, with an inbox of the asker's to reply to |
 * | worker | the inbox | `beat`, at once and every half second; `items`, numbered from 0; at last `end` or `failed` |
 * | asker | `prefix.service.ID.probe` | the inbox of an answer: is it still under way? |
 *
 * The worker names a subject of its own to reply to in each message: the server tells it there when nobody has the inbox any
 * more, and the worker cancels the answer.
 */
import { sentence } from "../base/check.ts";
import { MessageError } from "./errors.ts";
import { type Failure, readFailure } from "./failure.ts";

/** Peers of other versions do not understand each other. */
export const ANSWER_VERSION = 1;

/** A request, around what the service itself reads. */
export interface AnswerRequest {
  version: number;
  fingerprint: string;
  request: unknown;
}

/** A message of an answer. */
export type AnswerMessage =
  | { kind: "beat" }
  /** Items, of which `from` came before. */
  | { kind: "items"; from: number; items: readonly unknown[] }
  /** All `count` items were said. */
  | { kind: "end"; count: number }
  | { kind: "failed" } & Failure;

const READ = "read a message of an answer";

/** Checks a decoded request. */
export function readRequest(value: unknown, fingerprint: string): unknown {
  const { version, fingerprint: theirs, request } = fieldsOf(value);
  if (version !== ANSWER_VERSION) refuse("it must be of this version", { version, ANSWER_VERSION });
  if (theirs !== fingerprint) {
    refuse("asker and worker must have the same model (serve the same files)", {
      asker: theirs,
      worker: fingerprint,
    });
  }
  return request;
}

/** Checks a decoded message of an answer. */
export function readAnswer(value: unknown): AnswerMessage {
  const { kind, from, items, count } = fieldsOf(value);
  if (kind === "beat") return { kind };
  if (kind === "items" && Array.isArray(items) && isCount(from)) return { kind, from, items };
  if (kind === "end" && isCount(count)) return { kind, count };
  if (kind === "failed") return { kind, ...readFailure(value) };
  return refuse("it must be beat, items, end or failed, with their fields", { message: value });
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  return refuse("it must be an object", { message: value });
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

function refuse(rule: string, values: Record<string, unknown>): never {
  throw new MessageError(sentence(READ, rule, values));
}
