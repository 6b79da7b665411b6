/** How long steps take. */
import type { StepWork } from "../../../src/model/scheduler.ts";

/** Tokens of one sequence in a step: `count` of them from position `first` on. */
export type TimedWork = Pick<StepWork, "first" | "count">;

/** The time of steps on the host and on the device, side by side, and of reading what they chose. */
export interface StepTimes {
  /** Seconds in which the host prepares a step: who comes while the device is busy is in the next step that it prepares. */
  readonly hostSeconds: number;
  /** Seconds of a read by the host, beyond the steps before it. */
  readonly readSeconds: number;
  /** Seconds of a step where the device is free: the host's are among them. */
  stepSeconds(work: readonly TimedWork[]): number;
}
