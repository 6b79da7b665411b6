/** One GPU with the whole model, as `serve` runs it, without the GPU: its steps take the time that they are said to take. */
import {
  BatchSchedule,
  type BatchScheduleOptions,
  type ScheduledSequence,
} from "../../../src/model/batch_schedule.ts";
import { CountedPlaces } from "./counted_places.ts";
import type { FleetRequest } from "./requests.ts";
import type { StepTimes, TimedWork } from "./step_times.ts";

/** The sizes of a replica, and the time of its steps. */
export interface ReplicaOptions extends BatchScheduleOptions {
  /** Pages of its cache. */
  pages: { total: number; pageSize: number };
  times: StepTimes;
}

/** A request, and what became of it so far. */
export interface Simulated extends ScheduledSequence {
  /** Given by the replica. */
  id: number;
  readonly request: FleetRequest;
  /** Tokens of the answer that were read. */
  generated: number;
  /** Seconds at which the first of them was read, and the last. */
  firstAt?: number;
  endAt?: number;
}

/** Counts of what a replica did. */
export interface ReplicaCounts {
  steps: number;
  reads: number;
  setBacks: number;
  /** Tokens that went through the model. */
  tokens: number;
  /** Seconds in which it had something to do. */
  busySeconds: number;
  /** Sequences that ran, summed over steps. */
  sequences: number;
}

/**
 * A replica: the schedule of a batch with a clock of its own. As the host is ahead of the device, the steps up to a read are
 * decided when the first of them begins, and who comes in the meantime waits for the next one.
 */
export class Replica {
  readonly counts: ReplicaCounts = {
    ...{ steps: 0, reads: 0, setBacks: 0, tokens: 0, busySeconds: 0, sequences: 0 },
  };
  readonly #schedule: BatchSchedule<Simulated>;
  readonly #places: CountedPlaces;
  readonly #times: StepTimes;
  readonly #onStep: (work: readonly TimedWork[]) => void;
  #nextId = 0;
  #readAt: number | undefined;

  /** `onStep` is told of each step's work. */
  constructor(
    { pages, times, ...schedule }: ReplicaOptions,
    onStep: (work: readonly TimedWork[]) => void = () => {},
  ) {
    this.#schedule = new BatchSchedule(schedule);
    this.#places = new CountedPlaces({ ...pages, places: schedule.maxRunning });
    this.#times = times;
    this.#onStep = onStep;
  }

  /** Sequences that run, and that wait. */
  get load(): { running: number; waiting: number } {
    return this.#schedule.counts;
  }

  /** Pages that can be taken. */
  get availablePages(): number {
    return this.#places.available;
  }

  /** The second at which the next read is over; none where nothing is under way. */
  get readAt(): number | undefined {
    return this.#readAt;
  }

  /** Takes a request. */
  add(one: Simulated): void {
    one.id = this.#nextId++;
    this.#schedule.add(one, one.request.prompt, this.#places);
  }

  /** Begins steps up to the next read, where there is something to do and nothing under way. */
  start(now: number): void {
    if (this.#readAt !== undefined || !this.#schedule.isBusy) return;
    let seconds = 0;
    let hasWork = false;
    do {
      const { work, setBack } = this.#schedule.step(this.#places);
      this.counts.setBacks += setBack.length;
      if (work.length === 0) continue;
      hasWork = true;
      seconds += this.#times.stepSeconds(work);
      this.counts.steps++;
      this.counts.sequences += work.length;
      for (const { count } of work) this.counts.tokens += count;
      this.#onStep(work);
    } while (!this.#schedule.isReadDue);
    if (hasWork) {
      this.counts.reads++;
      seconds += this.#times.readSeconds;
    }
    this.counts.busySeconds += seconds;
    this.#readAt = now + seconds;
  }

  /** Reads tokens, and returns the sequences that are over by them. */
  read(): Simulated[] {
    const now = this.#readAt!;
    this.#readAt = undefined;
    return this.#schedule.read().filter((one) => {
      one.firstAt ??= now;
      one.generated += one.unread;
      one.unread = 0;
      if (one.generated < one.request.answer) return false;
      one.generated = one.request.answer;
      one.endAt = now;
      this.#schedule.leave(one);
      return true;
    });
  }
}
