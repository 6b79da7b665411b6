/** How long steps take. */
import type { StepWork } from "../../../src/model/scheduler.ts";

/** Tokens of one sequence in a step: `count` of them from position `first` on. */
export type TimedWork = Pick<StepWork, "first" | "count">;

/** The time of steps on the device, and of reading what they chose. The host is ahead of the device. */
export interface StepTimes {
  /** Seconds of a read by the host, beyond the steps before it. */
  readonly readSeconds: number;
  /** Seconds of a step, as its work has them on average. */
  stepSeconds(work: readonly TimedWork[]): number;
  /** Seconds that the steps up to a fleet's n-th read take beyond that: other programs slow a device, for a while. */
  excessSeconds(read: number): number;
}
