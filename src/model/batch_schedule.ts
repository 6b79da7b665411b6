/**
 * The schedule of a batch: which sequence has which place in the cache, what each step runs, and when the host reads. It knows
 * neither device nor clock, so that a simulation runs the same.
 */
import { type PageCounts, Scheduler, type SchedulerOptions, type StepWork } from "./scheduler.ts";

/** The sizes of a schedule. */
export interface BatchScheduleOptions extends SchedulerOptions {
  /** Most steps between two reads of the host. */
  stepsPerRead: number;
}

/** A sequence as the schedule knows it. */
export interface ScheduledSequence {
  /** Its number: above those of all sequences before. */
  readonly id: number;
  /** Most tokens, those of the prompt included. */
  readonly maxTokens: number;
  /** Its place in the cache, while it has one. */
  slot?: number;
  /** Tokens that were chosen and not read yet. */
  unread: number;
}

/** The places of sequences in a cache, and their pages. */
export interface SequencePlaces<One> extends Pick<PageCounts, "total" | "pageSize" | "available"> {
  /** Pages that a sequence takes from those that are available for so many more tokens; one that waits has none so far. */
  needed(one: One, tokens: number): number;
  /** Pages that can be taken once a sequence has given back its own. */
  freedBy(one: One): number;
  /** Begins a sequence in its place; returns its tokens that pages hold already. */
  begin(one: One, slot: number): number;
  /** Lengthens the sequence of each place by so many tokens. */
  extend(counts: readonly number[]): void;
  /** Gives back the pages of a place. */
  clear(slot: number): void;
}

/** Work of a step that has a place in the cache. */
export interface PlacedWork<One> extends StepWork {
  one: One;
  slot: number;
}

/** A step of a batch. */
export interface PlacedStep<One> {
  /** Sequences that begin to run. */
  joined: One[];
  /** Sequences that were set back. */
  setBack: One[];
  /** The tokens that run, in the order of their places. */
  work: PlacedWork<One>[];
}

/** Keeps the sequences of a batch, and says what each step runs. */
export class BatchSchedule<One extends ScheduledSequence> {
  readonly #options: BatchScheduleOptions;
  readonly #scheduler: Scheduler;
  readonly #sequences = new Map<number, One>();
  /** Places without a sequence, and those whose sequence is over: their pages go back with the next step. */
  readonly #freeSlots: number[];
  readonly #leaving = new Set<number>();
  #stepsSinceRead = 0;
  #isReadDue = false;

  constructor(options: BatchScheduleOptions) {
    this.#options = options;
    this.#scheduler = new Scheduler(options);
    this.#freeSlots = this.#allSlots();
  }

  /** Sequences that run, and sequences that wait for room. */
  get counts(): { running: number; waiting: number } {
    const { running, waiting } = this.#scheduler;
    return { running, waiting };
  }

  /** Sequences that are not over. */
  get sequences(): One[] {
    return [...this.#sequences.values()];
  }

  /** Whether there is something left to do. */
  get isBusy(): boolean {
    return this.#sequences.size > 0 || this.#leaving.size > 0;
  }

  /** Whether the host reads before the next step: whoever is set back feeds its tokens again, which it must know by then. */
  get isReadDue(): boolean {
    return this.#isReadDue;
  }

  /** Whether a sequence is not over. */
  has({ id }: One): boolean {
    return this.#sequences.has(id);
  }

  /**
   * Lets a sequence wait for room.
   *
   * @param one The sequence.
   * @param length Tokens of its prompt.
   * @param pages The pages that it must fit alone.
   * @throws {RangeError} If it does not.
   */
  add(one: One, length: number, pages: Pick<PageCounts, "total" | "pageSize">): void {
    const { id, maxTokens } = one;
    this.#scheduler.add(id, { length, maxTokens }, pages);
    this.#sequences.set(id, one);
  }

  /** The next step, done to the places. */
  step(places: SequencePlaces<One>): PlacedStep<One> {
    for (const slot of this.#leaving) this.#clear(places, slot);
    this.#leaving.clear();
    const joined: One[] = [];
    const of = (id: number) => this.#sequences.get(id)!;
    const { total, pageSize, available } = places;
    const pages = {
      ...{ total, pageSize, available },
      needed: (id: number, tokens: number) => places.needed(of(id), tokens),
      freedBy: (id: number) => places.freedBy(of(id)),
    };
    const step = this.#scheduler.next(pages, (id) => {
      const one = of(id);
      joined.push(one);
      one.slot = this.#freeSlots.pop()!;
      return places.begin(one, one.slot);
    });
    const setBack = step.setBack.map(of);
    for (const one of setBack) {
      this.#clear(places, one.slot!);
      one.slot = undefined;
    }
    const work = step.work.map((work): PlacedWork<One> => {
      const one = of(work.sequence);
      return { ...work, one, slot: one.slot! };
    }).sort((a, b) => a.slot - b.slot);
    if (work.length > 0) {
      const counts = new Array(this.#options.maxRunning).fill(0);
      for (const { slot, count } of work) counts[slot] = count;
      places.extend(counts);
    }
    for (const { one, isNewest } of work) if (isNewest) one.unread++;
    this.#stepsSinceRead++;
    this.#isReadDue = this.#stepsSinceRead === this.#options.stepsPerRead || work.length === 0 ||
      setBack.length > 0;
    return { joined, setBack, work };
  }

  /** Lets the host read: returns the sequences that have tokens to be read. */
  read(): One[] {
    this.#stepsSinceRead = 0;
    this.#isReadDue = false;
    return this.sequences.filter(({ unread }) => unread > 0);
  }

  /** Lets a sequence go, whether it runs or waits: its pages go back with the next step. */
  leave({ id, slot }: One): void {
    this.#scheduler.end(id);
    this.#sequences.delete(id);
    if (slot !== undefined) this.#leaving.add(slot);
  }

  /**
   * Lets all sequences go that have a place or tokens to be read; the caller has given back all pages. Those that wait have
   * nothing on the device, and stay; where all do, they go.
   *
   * @returns The sequences that went.
   */
  reset(): One[] {
    const all = this.sequences;
    const placed = all.filter(({ slot, unread }) => slot !== undefined || unread > 0);
    const gone = placed.length > 0 ? placed : all;
    for (const one of gone) this.leave(one);
    this.#leaving.clear();
    this.read();
    this.#freeSlots.splice(0, Infinity, ...this.#allSlots());
    return gone;
  }

  #clear(places: SequencePlaces<One>, slot: number): void {
    places.clear(slot);
    this.#freeSlots.push(slot);
  }

  #allSlots(): number[] {
    const { maxRunning } = this.#options;
    return Array.from({ length: maxRunning }, (_, i) => maxRunning - 1 - i);
  }
}
