/** One GPU with the whole model, as `serve` runs it, without the GPU: its steps take the time that they are said to take. */
import {
  BatchSchedule,
  type BatchScheduleOptions,
  type ScheduledSequence,
} from "../../../src/model/batch_schedule.ts";
import { CountedPlaces } from "./counted_places.ts";
import type { FleetRequest } from "./requests.ts";
import type { StepTimes, TimedWork } from "./step_times.ts";

/** Steps between two reads of a batch, unless it is told otherwise. */
export const STEPS_PER_READ = 8;

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
  setBacks: number;
  /** Sequences that ran, summed over steps. */
  sequences: number;
}

/** A replica: the schedule of a batch with a clock of its own. */
export class Replica {
  readonly counts: ReplicaCounts = { steps: 0, setBacks: 0, sequences: 0 };
  readonly #schedule: BatchSchedule<Simulated>;
  readonly #places: CountedPlaces;
  readonly #times: StepTimes;
  readonly #onStep: (work: readonly TimedWork[]) => void;
  /** Messages that came while the host's thread was blocked. */
  readonly #unheard: ((now: number) => void)[] = [];
  #nextId = 0;
  #nextAt: number | undefined;

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

  /** The second at which the read is over that it waits for; none where it does nothing. */
  get nextAt(): number | undefined {
    return this.#nextAt;
  }

  /** Takes a request. */
  add(one: Simulated): void {
    one.id = this.#nextId++;
    this.#schedule.add(one, one.request.prompt, this.#places);
  }

  /** Hears a message: at once where it does nothing, else before the tokens of the read that blocks its thread are handed out. */
  hear(message: (now: number) => void, now: number): void {
    if (this.#nextAt === undefined) message(now);
    else this.#unheard.push(message);
  }

  /**
   * Begins what is next, where there is something to do: the steps up to the next read, which the host decides at once.
   *
   * @param excess Seconds that they take beyond those of their work; less than none where they are faster.
   */
  start(now: number, excess: () => number = () => 0): void {
    if (this.#nextAt !== undefined || !this.#schedule.isBusy) return;
    let seconds = 0;
    do {
      const { work, setBack } = this.#schedule.step(this.#places);
      this.counts.setBacks += setBack.length;
      if (work.length > 0) seconds += this.#run(work);
    } while (!this.#schedule.isReadDue);
    // As a batch, it waits for nothing where no token was chosen.
    if (this.#schedule.sequences.some(({ unread }) => unread > 0)) {
      seconds = Math.max(0, seconds + excess()) + this.#times.readSeconds;
    }
    this.#nextAt = now + seconds;
  }

  /** Counts a step; returns its seconds. */
  #run(work: readonly TimedWork[]): number {
    this.counts.steps++;
    this.counts.sequences += work.length;
    this.#onStep(work);
    return this.#times.stepSeconds(work);
  }

  /** Ends the read that is under way: returns the sequences that are over by it. */
  finish(): Simulated[] {
    const now = this.#nextAt!;
    for (const message of this.#unheard.splice(0, Infinity)) message(now);
    this.#nextAt = undefined;
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
