/** The steps of a batch: what the scheduler says, encoded and submitted, with the host reading a few steps at a time. */
import { sentence } from "../base/check.ts";
import { GpuWorkError } from "../base/errors.ts";
import type { GeneratedToken, TokenQueue } from "./batch_sequence.ts";
import { NEWEST, type PagedPasses } from "./paged_passes.ts";
import type { ChosenTokens, Sampler, SequenceSampling } from "./sampler.ts";
import type { PageCounts, Scheduler, StepWork } from "./scheduler.ts";

/** A sequence on the host. */
export interface Running {
  /** Its number for the scheduler. */
  id: number;
  /** Its tokens that the host knows: the prompt, and those that were read. */
  tokens: number[];
  /** Tokens of the prompt. */
  promptLength: number;
  /** Most tokens, those of the prompt included. */
  maxTokens: number;
  sampling: SequenceSampling;
  /** Whether a new token ends it. */
  isEnd: (token: number) => boolean;
  queue: TokenQueue;
  /** Its place in the cache, while it has one. */
  slot?: number;
  /** Tokens that were chosen and not read yet, and the place that it had then. */
  unread: number;
  chosenIn: number;
}

/** Work of a step that has a place in the cache. */
interface PlacedWork extends StepWork {
  one: Running;
  slot: number;
}

const ACTION = "run a step of Batch";

/** Runs steps while there are sequences. */
export class BatchLoop {
  readonly #passes: PagedPasses;
  readonly #sampler: Sampler;
  readonly #scheduler: Scheduler;
  readonly #stepsPerRead: number;
  readonly #sequences = new Map<number, Running>();
  readonly #cancelled = new Set<Running>();
  /** Places without a sequence, and those whose sequence is over: their pages go back with the next step. */
  readonly #freeSlots: number[];
  readonly #leaving = new Set<number>();
  readonly #counted = { prompt: 0, generated: 0, steps: 0, setBacks: 0, milliseconds: 0 };
  readonly #pages: PageCounts;
  #isRunning = false;
  /** Frees the batch, once it is to be freed. */
  #free: (() => void) | undefined;

  constructor(
    passes: PagedPasses,
    sampler: Sampler,
    scheduler: Scheduler,
    stepsPerRead: number,
  ) {
    this.#passes = passes;
    this.#sampler = sampler;
    this.#scheduler = scheduler;
    this.#stepsPerRead = stepsPerRead;
    this.#freeSlots = this.#allSlots();
    this.#pages = this.#countPages();
  }

  /** Numbers of what was done, and the pages as they are. */
  get stats() {
    const { running, waiting } = this.#scheduler;
    const { total, available } = this.#pages;
    return { running, waiting, pages: { total, available }, ...this.#counted };
  }

  /** Takes a sequence, and runs steps until none is left. */
  add(one: Running): void {
    const { id, tokens: { length }, maxTokens } = one;
    if (this.#free) {
      this.#passes.model.gpu.throwIfLost();
      throw new RangeError(
        sentence("add a sequence", "Batch must not have been destroyed", { id }),
      );
    }
    this.#scheduler.add(id, { length, maxTokens }, this.#pages);
    this.#sequences.set(id, one);
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Sequences that are added at once are in the first step together.
    queueMicrotask(() => this.#run());
  }

  /** Ends a sequence: its pages go back with the next step. */
  cancel(one: Running): void {
    if (!this.#sequences.has(one.id) || this.#cancelled.has(one)) return;
    this.#cancelled.add(one);
    one.queue.push([], "cancelled");
  }

  /** Cancels all sequences, or tells them that the device is lost, and frees the batch after the step that runs. */
  close(free: () => void): void {
    try {
      this.#passes.model.gpu.throwIfLost();
    } catch (error) {
      this.#fail(error);
    }
    for (const one of this.#sequences.values()) this.cancel(one);
    this.#free = free;
    if (!this.#isRunning) free();
  }

  async #run(): Promise<void> {
    while (!this.#free && (this.#sequences.size > 0 || this.#leaving.size > 0)) {
      const start = performance.now();
      try {
        await this.#runSteps();
      } catch (error) {
        this.#fail(error);
      }
      this.#counted.milliseconds += performance.now() - start;
    }
    this.#isRunning = false;
    this.#free?.();
  }

  /** Runs steps up to the next one that the host needs the tokens of, and reads them. */
  async #runSteps(): Promise<void> {
    for (let steps = 0; steps < this.#stepsPerRead; steps++) {
      for (const one of this.#cancelled) this.#end(one);
      this.#cancelled.clear();
      const { isOver, isSetBack } = await this.#step();
      // Whoever is set back feeds its tokens again, which the host must know by then.
      if (isOver || isSetBack) break;
    }
    if ([...this.#sequences.values()].every(({ unread }) => unread === 0)) return;
    const chosen = await this.#sampler.read();
    for (const one of [...this.#sequences.values()]) {
      try {
        this.#read(one, chosen);
      } catch (error) {
        // The caller's own function failed, which concerns nobody else.
        one.queue.fail(error);
        this.#leave(one);
      }
    }
  }

  async #step(): Promise<{ isOver: boolean; isSetBack: boolean }> {
    const { model: { gpu }, cache } = this.#passes;
    const { device } = gpu;
    const joined: Running[] = [];
    const { encoder, setBack, work } = await gpu.guard(ACTION, () => {
      const encoder = device.createCommandEncoder();
      for (const slot of this.#leaving) this.#clear(encoder, slot);
      this.#leaving.clear();
      const step = this.#scheduler.next(this.#pages, (id) => {
        const one = this.#sequences.get(id)!;
        joined.push(one);
        one.slot = this.#freeSlots.pop()!;
        return cache.recall(encoder, one.tokens, one.slot);
      });
      for (const id of step.setBack) {
        const one = this.#sequences.get(id)!;
        this.#clear(encoder, one.slot!);
        one.slot = undefined;
      }
      const work = step.work.map((work): PlacedWork => {
        const one = this.#sequences.get(work.sequence)!;
        return { ...work, one, slot: one.slot! };
      }).sort((a, b) => a.slot - b.slot);
      if (work.length > 0) {
        const counts = new Array(cache.spec.batch).fill(0);
        for (const { slot, count } of work) counts[slot] = count;
        cache.extend(encoder, counts);
      }
      return { encoder, setBack: step.setBack, work };
    });
    for (const one of joined) {
      const { slot, sampling, tokens, promptLength } = one;
      await this.#sampler.set(slot!, sampling, {
        prompt: tokens.slice(0, promptLength),
        generated: tokens.slice(promptLength),
      });
    }
    this.#counted.setBacks += setBack.length;
    if (work.length === 0) {
      await gpu.guard(ACTION, () => device.queue.submit([encoder.finish()]));
      return { isOver: true, isSetBack: setBack.length > 0 };
    }
    await this.#submit(encoder, work);
    return { isOver: false, isSetBack: setBack.length > 0 };
  }

  /** Encodes and submits the tokens of a step, and the choice of those that follow. */
  async #submit(encoder: GPUCommandEncoder, work: readonly PlacedWork[]): Promise<void> {
    const passes = this.#passes;
    const { gpu, spec: { dim } } = passes.model;
    const numTokens = work.reduce((sum, { count }) => sum + count, 0);
    const newest = work.filter(({ isNewest }) => isNewest);
    const slots = newest.map(({ slot }) => slot);
    const layers = await passes.layers({ numTokens, isDecode: numTokens === work.length });
    const answers = newest.length > 0
      ? [await passes.head(newest.length), await this.#sampler.bind(slots)]
      : [];
    await gpu.guard(ACTION, () => {
      const { queue } = gpu.device;
      const tokens = Uint32Array.from(work.flatMap(tokensOf));
      queue.writeBuffer(passes.tokens.buffer, 0, tokens);
      if (newest.length > 0) this.#sampler.setRows(slots);
      layers.work.encode(encoder);
      copyRows(encoder, layers.h.buffer, passes.last.buffer, lastRows(work), 4 * dim);
      for (const answer of answers) answer.encode(encoder);
      queue.submit([encoder.finish()]);
    });
    this.#counted.steps++;
    for (const { one, slot, first, count } of work) {
      this.#counted.prompt += Math.max(0, Math.min(first + count, one.promptLength) - first);
      one.chosenIn = slot;
    }
    for (const { one } of newest) one.unread++;
  }

  /** Takes the tokens of a sequence that were chosen since the last time, up to the one that ends it. */
  #read(one: Running, chosen: ChosenTokens): void {
    const { vocabSize } = this.#sampler;
    const { sampling: { logprobs }, chosenIn } = one;
    const read: GeneratedToken[] = [];
    let finish: "end" | "length" | undefined;
    for (; one.unread > 0 && !finish; one.unread--) {
      const position = one.tokens.length;
      const token = chosen.token(chosenIn, position);
      if (token >= vocabSize) {
        const rule = "a logit is not a number (check the weights)";
        one.queue.fail(new GpuWorkError(sentence(ACTION, rule, { position })));
        this.#leave(one);
        return;
      }
      one.tokens.push(token);
      read.push({
        token,
        ...(logprobs !== undefined && chosen.logprobs(chosenIn, position, logprobs)),
      });
      if (one.isEnd(token)) finish = "end";
      else if (one.tokens.length === one.maxTokens) finish = "length";
    }
    this.#counted.generated += read.length;
    if (this.#cancelled.has(one) || (read.length === 0 && !finish)) return;
    one.queue.push(read, finish);
    if (finish) this.#end(one);
  }

  /** Lets a sequence go; prompts that go on from its tokens find its pages, until somebody needs them. */
  #end(one: Running): void {
    const { cache } = this.#passes;
    if (one.slot !== undefined) {
      // What was generated past the end is none of its text.
      const fed = Math.min(one.tokens.length, cache.length(one.slot));
      cache.remember(one.tokens.slice(0, fed), one.slot);
    }
    this.#leave(one);
  }

  #leave({ id, slot }: Running): void {
    this.#scheduler.end(id);
    this.#sequences.delete(id);
    if (slot !== undefined) this.#leaving.add(slot);
  }

  #clear(encoder: GPUCommandEncoder, slot: number): void {
    this.#passes.cache.clear(encoder, slot);
    this.#freeSlots.push(slot);
  }

  /** Ends all sequences by an error, and begins with nothing: what pages hold is not known. */
  #fail(error: unknown): void {
    for (const one of this.#sequences.values()) {
      this.#scheduler.end(one.id);
      one.queue.fail(error);
    }
    this.#sequences.clear();
    this.#cancelled.clear();
    this.#leaving.clear();
    this.#freeSlots.splice(0, Infinity, ...this.#allSlots());
    const { cache, model: { gpu: { device } } } = this.#passes;
    const { allocator } = cache.pool;
    try {
      const encoder = device.createCommandEncoder();
      cache.clear(encoder);
      for (let page = 0; page < allocator.numPages; page++) allocator.forget(page);
      device.queue.submit([encoder.finish()]);
    } catch {
      // The device is lost, which the next sequence is told.
    }
  }

  #allSlots(): number[] {
    const { batch } = this.#passes.cache.spec;
    return Array.from({ length: batch }, (_, i) => batch - 1 - i);
  }

  #countPages(): PageCounts {
    const { cache } = this.#passes;
    const { allocator, shape: { pages: { size, count } } } = cache.pool;
    const of = (id: number) => this.#sequences.get(id)!;
    return {
      total: count,
      pageSize: size,
      get available() {
        return allocator.available;
      },
      needed(id, tokens) {
        const { slot, tokens: known } = of(id);
        return slot === undefined
          ? Math.ceil(tokens / size) - allocator.shared(known.slice(0, -1), size)
          : cache.needed(slot, tokens);
      },
      freedBy: (id) =>
        cache.pages(of(id).slot!).filter((page) => allocator.holders(page) === 1).length,
    };
  }
}

/** The tokens of a sequence in a step; one that the host has not read is the newest of its place. */
function tokensOf({ one, slot, first, count }: PlacedWork): number[] {
  return Array.from({ length: count }, (_, i) => one.tokens[first + i] ?? NEWEST + slot);
}

/** The rows, among the tokens of a step, behind which tokens are chosen. */
function lastRows(work: readonly PlacedWork[]): number[] {
  let end = 0;
  return work.flatMap(({ count, isNewest }) => {
    end += count;
    return isNewest ? [end - 1] : [];
  });
}

/** Copies rows one after the other; neighbours go together. */
function copyRows(
  encoder: GPUCommandEncoder,
  from: GPUBuffer,
  to: GPUBuffer,
  rows: readonly number[],
  bytes: number,
): void {
  for (let first = 0, end = 0; first < rows.length; first = end) {
    for (end = first + 1; end < rows.length && rows[end] === rows[end - 1] + 1;) end++;
    const size = (end - first) * bytes;
    encoder.copyBufferToBuffer(from, rows[first] * bytes, to, first * bytes, size);
  }
}
