/** Requests that come at random, the same ones for the same seed. */
import { uniform } from "../../../src/base/random.ts";
import { drawLength, type Lengths } from "./lengths.ts";

/** A request. */
export interface FleetRequest {
  /** Seconds after which it comes. */
  at: number;
  /** Tokens of its prompt. */
  prompt: number;
  /** Tokens of its answer. */
  answer: number;
  /** Most tokens that its client permits for the answer: it ends before by a token that ends it. */
  mostAnswer: number;
}

/** The requests to draw. */
export interface Demand {
  /** Requests in a second, on average. */
  rate: number;
  /** Tokens of prompts. */
  prompt: Lengths;
  /** Tokens of answers. */
  answer: Lengths;
}

/**
 * Draws requests whose gaps are exponential (a Poisson process), in the order of their coming. With the same seed another rate
 * draws the same requests closer together or further apart.
 */
export function drawRequests(
  { rate, prompt, answer }: Demand,
  { count, seed }: { count: number; seed: number },
): FleetRequest[] {
  const random = uniform(seed);
  let at = 0;
  return Array.from({ length: count }, () => {
    at -= Math.log(1 - random()) / rate;
    return {
      at,
      prompt: drawLength(prompt, random),
      answer: drawLength(answer, random),
      mostAnswer: answer.most,
    };
  });
}
