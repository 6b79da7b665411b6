/** The time that a request takes beyond its steps. */
import { median } from "../statistics.ts";
import type { ServingRequest } from "./requests.ts";
import type { StepTime } from "./result.ts";

/** Requests that are timed. */
const ALONE = 15;

/** The time of a request for one token, and the steps that it took meanwhile. */
export interface TimedRequest {
  milliseconds: number;
  stepTimes: readonly StepTime[];
}

/**
 * Milliseconds of a request beyond its steps, in the median: messages and whatever else is between its sender and the device.
 * Requests are sent one after the other, so that none waits for another one.
 *
 * @param requests Some are sent, each for one token.
 * @param time Sends a request and waits for its end.
 */
export async function measureOverhead(
  requests: readonly ServingRequest[],
  time: (request: ServingRequest) => Promise<TimedRequest>,
): Promise<number> {
  const overheads: number[] = [];
  for (const request of requests.slice(0, ALONE)) {
    const { milliseconds, stepTimes } = await time({ ...request, arrivalMs: 0, newTokens: 1 });
    overheads.push(milliseconds - stepTimes.reduce((sum, { steps, ms }) => sum + steps * ms, 0));
  }
  return median(overheads);
}
