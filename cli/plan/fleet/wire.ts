/** Bytes between the machines of a fleet. */
import type { CacheShape } from "../../../mod.ts";
import { ANSWER_VERSION, type AnswerMessage } from "../../../src/cluster/answer_protocol.ts";
import { HEADER_BYTES } from "../../../src/cluster/shard_message.ts";
import { GREEDY } from "../../../src/model/sampling.ts";
import { sequenceMessage } from "../../shared/cluster/sequence_message.ts";

/** A request as it travels. */
export interface WireRequest {
  prompt: number;
  answer: number;
  /** Tokens of a message of the answer. */
  perMessage: number;
  vocabSize: number;
}

/** A fingerprint is a SHA-256 in hexadecimal. */
const FINGERPRINT = "0".repeat(64);

/**
 * Bytes of a request's messages between gateway and worker for each token of its answer: their JSON, with the longest token
 * ids, without NATS's own headers and heartbeats.
 */
export function gatewayBytes({ prompt, answer, perMessage, vocabSize }: WireRequest): number {
  const token = vocabSize - 1;
  const request = sequenceMessage({
    ...GREEDY,
    ...{ tokens: new Array(prompt).fill(token), maxTokens: answer, endTokens: [token] },
  });
  const messages: unknown[] = [{ version: ANSWER_VERSION, fingerprint: FINGERPRINT, request }];
  for (let from = 0; from < answer; from += perMessage) {
    const items = new Array(Math.min(perMessage, answer - from)).fill({ token });
    messages.push({ kind: "items", from, items } satisfies AnswerMessage);
  }
  messages.push({ kind: "end", count: answer } satisfies AnswerMessage);
  const bytes = messages.reduce<number>((sum, one) => sum + JSON.stringify(one).length, 0);
  return bytes / answer;
}

/**
 * Bytes between a decoder and a shard for one token: in each layer the query and, for the shard that it belongs to, its key and
 * value; and the output and log-sum-exps back, under a header each way.
 */
export function shardBytes(
  { numLayers, numHeads, numKvHeads, headDim, valueDim = headDim }: CacheShape & {
    numHeads: number;
  },
  elementBytes: number,
): number {
  const there = HEADER_BYTES + numHeads * headDim * elementBytes;
  const back = HEADER_BYTES + numHeads * valueDim * elementBytes + 4 * numHeads;
  const appended = numKvHeads * (headDim + valueDim) * elementBytes;
  return numLayers * (there + appended + back);
}
