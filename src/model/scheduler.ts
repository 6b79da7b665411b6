/** Which tokens of which sequences run in each step: pure, so that a simulation drives the same code. */
import { checkInteger, sentence } from "../base/check.ts";
import { PoolExhaustedError } from "../base/errors.ts";

/** Pages as the scheduler counts them. Sequences go by the numbers that they were added with. */
export interface PageCounts {
  /** Pages in all. */
  readonly total: number;
  /** Tokens of a page. */
  readonly pageSize: number;
  /** Pages that can be taken. */
  readonly available: number;
  /** Pages that a sequence takes from these for so many more tokens; one that waits has none so far. */
  needed(sequence: number, tokens: number): number;
  /** Pages that can be taken once a sequence has given back its own. */
  freedBy(sequence: number): number;
}

/** The sizes of steps. */
export interface SchedulerOptions {
  /** Most sequences that run together. */
  maxRunning: number;
  /** Most tokens of a step, at least one for each of these sequences. */
  maxStepTokens: number;
}

/** The tokens of one sequence in a step. */
export interface StepWork {
  /** The sequence. */
  sequence: number;
  /** The position of the first of them. */
  first: number;
  /** How many they are. */
  count: number;
  /** Whether the last of them is the sequence's newest, behind which the next token is chosen. */
  isNewest: boolean;
}

/** A step. */
export interface Step {
  /** Sequences that give back their pages before it; they begin anew later, with the tokens that they have. */
  setBack: number[];
  /** What runs. */
  work: StepWork[];
}

/** A sequence. */
interface Scheduled {
  sequence: number;
  /** Its tokens: those of its prompt, and those that were chosen since. */
  length: number;
  /** Tokens that have been through the model. */
  fed: number;
  /** Most tokens that it will have. */
  maxTokens: number;
}

const ADD = "add a sequence";

/**
 * Deals out steps to sequences that come and go (continuous batching: Yu et al. 2022, "Orca"; prompts in chunks beside
 * decode steps: Agrawal et al. 2023, arXiv 2308.16369). Each step has the newest token of every sequence that has one, and
 * chunks of prompts for the rest of a number of tokens. Who was added first goes first, and none waits for ever: when pages
 * run out, the youngest sequence is set back.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  /** Both in the order in which they were added. */
  readonly #running: Scheduled[] = [];
  readonly #waiting: Scheduled[] = [];
  #newest = -1;

  /** @throws {RangeError} If a step has not a token for each sequence. */
  constructor(options: SchedulerOptions) {
    const { maxRunning, maxStepTokens } = options;
    checkInteger("create Scheduler", "maxRunning", maxRunning);
    checkInteger("create Scheduler", "maxStepTokens", maxStepTokens, maxRunning);
    this.#options = options;
  }

  /** Sequences that run. */
  get running(): number {
    return this.#running.length;
  }

  /** Sequences that wait for room. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Lets a sequence wait for room.
   *
   * @param sequence A number above those of all sequences before.
   * @param length Tokens of its prompt.
   * @param maxTokens Most tokens that it will have, its prompt included: at least one more.
   * @throws {RangeError} If the pages are too few for it alone.
   */
  add(
    sequence: number,
    { length, maxTokens }: { length: number; maxTokens: number },
    { total, pageSize }: Pick<PageCounts, "total" | "pageSize">,
  ): void {
    checkInteger(ADD, "sequence", sequence, this.#newest + 1);
    checkInteger(ADD, "length", length);
    checkInteger(ADD, "maxTokens", maxTokens, length + 1);
    if (Math.ceil(maxTokens / pageSize) > total) {
      throw new RangeError(
        sentence(ADD, "its tokens must fit the pages (ask for fewer, or make more pages)", {
          ...{ maxTokens, pages: total, pageSize },
        }),
      );
    }
    this.#newest = sequence;
    this.#waiting.push({ sequence, length, fed: 0, maxTokens });
  }

  /** Lets a sequence go, whether it runs or waits; its pages are the caller's to give back. */
  end(sequence: number): void {
    for (const list of [this.#running, this.#waiting]) {
      const index = list.findIndex((one) => one.sequence === sequence);
      if (index >= 0) list.splice(index, 1);
    }
  }

  /**
   * The next step; the scheduler takes it for done.
   *
   * @param pages The pages as they are. What the step takes of them is not counted off, as its work takes it.
   * @param join Told of a sequence that begins to run: returns its tokens that pages hold already, fewer than it has.
   * @throws {PoolExhaustedError} If somebody else holds the pages that a sequence needs.
   */
  next(pages: PageCounts, join: (sequence: number) => number): Step {
    const setBack: number[] = [];
    const work: StepWork[] = [];
    const isDecoding = (one: Scheduled) => pendingOf(one) === 1;
    let room = this.#options.maxStepTokens - this.#running.filter(isDecoding).length;
    let left = pages.available;
    // Pages for what is left of prompts that have begun: these go on before others begin.
    let promised = 0;
    // Those that have all their tokens need no pages but to be remembered: they go first.
    const done = this.#running.filter((one) => pendingOf(one) === 0);
    for (const one of this.#running.filter((one) => pendingOf(one) > 0)) {
      if (!this.#running.includes(one)) continue;
      const count = isDecoding(one) ? 1 : Math.min(pendingOf(one), room);
      const needed = pages.needed(one.sequence, count);
      while (needed > left && this.#running.includes(one)) {
        const youngest = done.pop() ?? this.#running.at(-1)!;
        this.#setBack(youngest, { needed, left });
        setBack.push(youngest.sequence);
        left += pages.freedBy(youngest.sequence);
      }
      if (!this.#running.includes(one)) continue;
      left -= needed;
      promised += pages.needed(one.sequence, pendingOf(one)) - needed;
      if (!isDecoding(one)) room -= count;
      if (count > 0) work.push(feed(one, count));
    }
    if (setBack.length === 0) {
      work.push(...this.#admit(pages, join, { room, left: left - promised }));
    }
    return { setBack, work };
  }

  /** Begins with sequences that wait, in their order, as far as there is room for all that they have. */
  #admit(
    pages: PageCounts,
    join: (sequence: number) => number,
    { room, left }: { room: number; left: number },
  ): StepWork[] {
    const work: StepWork[] = [];
    while (room > 0 && this.#running.length < this.#options.maxRunning) {
      const [one] = this.#waiting;
      if (!one) break;
      const needed = pages.needed(one.sequence, Math.min(one.length + 1, one.maxTokens));
      if (needed > left) break;
      this.#waiting.shift();
      insert(this.#running, one);
      one.fed = join(one.sequence);
      left -= needed;
      const count = Math.min(pendingOf(one), room);
      room -= count;
      work.push(feed(one, count));
    }
    return work;
  }

  #setBack(one: Scheduled, { needed, left }: { needed: number; left: number }): void {
    if (this.#running.length === 1) {
      throw new PoolExhaustedError(
        sentence("run a step", "nobody else must hold the pages of the pool", {
          ...{ sequence: one.sequence, needed, available: left },
        }),
      );
    }
    this.#running.splice(this.#running.indexOf(one), 1);
    if (pendingOf(one) > 0) insert(this.#waiting, one);
    one.fed = 0;
  }
}

/** Tokens that a sequence has and that have not been through the model; 0 where no more are to come. */
function pendingOf({ length, fed, maxTokens }: Scheduled): number {
  return length < maxTokens ? length - fed : 0;
}

/** Feeds tokens of a sequence, and counts the one that is chosen behind its newest. */
function feed(one: Scheduled, count: number): StepWork {
  const { sequence, fed: first } = one;
  one.fed += count;
  const isNewest = one.fed === one.length;
  if (isNewest) one.length++;
  return { sequence, first, count, isNewest };
}

function insert(list: Scheduled[], one: Scheduled): void {
  const index = list.findIndex(({ sequence }) => sequence > one.sequence);
  list.splice(index < 0 ? list.length : index, 0, one);
}
