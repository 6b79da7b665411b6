/** The steps of a batch: what the scheduler says, encoded and submitted, with the host reading a few steps at a time. */
import { sentence } from "../base/check.ts";
import { GpuWorkError } from "../base/errors.ts";
import type { BatchSchedule, PlacedStep, PlacedWork, ScheduledSequence } from "./batch_schedule.ts";
import type { GeneratedToken, TokenQueue } from "./batch_sequence.ts";
import type { BatchStep, BatchSteps } from "./batch_steps.ts";
import { CachePlaces } from "./cache_places.ts";
import { NEWEST, type PagedPasses } from "./paged_passes.ts";
import type { ChosenTokens, Sampler, SequenceSampling } from "./sampler.ts";

/** A sequence on the host. */
export interface Running extends ScheduledSequence {
  /** Its tokens that the host knows: the prompt, and those that were read. */
  tokens: number[];
  /** Tokens of the prompt, those at its end that count as generated left out. */
  promptLength: number;
  sampling: SequenceSampling;
  /** Whether a new token ends it. */
  isEnd: (token: number) => boolean;
  queue: TokenQueue;
  /** The place that it had when its unread tokens were chosen. */
  chosenIn: number;
}

const ACTION = "run a step of Batch";

/** Runs steps while there are sequences. */
export class BatchLoop {
  readonly #passes: PagedPasses;
  readonly #sampler: Sampler;
  readonly #schedule: BatchSchedule<Running>;
  readonly #onSteps: (steps: BatchSteps) => void;
  /** Sequences whose memory for choosing tokens is not known to be there. */
  readonly #arrived = new Set<Running>();
  readonly #cancelled = new Set<Running>();
  readonly #counted = { prompt: 0, generated: 0, steps: 0, setBacks: 0, milliseconds: 0 };
  /** Steps that nobody was told of, and when the first of them began. */
  readonly #untold = { steps: [] as BatchStep[], start: 0 };
  #isRunning = false;
  /** Frees the batch, once it is to be freed. */
  #free: (() => void) | undefined;

  /** @param onSteps Told of the steps after each read. */
  constructor(
    passes: PagedPasses,
    sampler: Sampler,
    schedule: BatchSchedule<Running>,
    onSteps: (steps: BatchSteps) => void = () => {},
  ) {
    this.#passes = passes;
    this.#sampler = sampler;
    this.#schedule = schedule;
    this.#onSteps = onSteps;
  }

  /** Numbers of what was done, and the pages as they are. */
  get stats() {
    const { available, shape: { pages: { count: total } } } = this.#passes.cache.pool;
    return { ...this.#schedule.counts, pages: { total, available }, ...this.#counted };
  }

  /** Takes a sequence, and runs steps until none is left. */
  add(one: Running): void {
    if (this.#free) {
      this.#passes.model.gpu.throwIfLost();
      throw new RangeError(
        sentence("add a sequence", "Batch must not have been destroyed", { id: one.id }),
      );
    }
    const { count: total, size: pageSize } = this.#passes.cache.pool.shape.pages;
    this.#schedule.add(one, one.tokens.length, { total, pageSize });
    this.#arrived.add(one);
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Sequences that are added at once are in the first step together.
    queueMicrotask(() => this.#run());
  }

  /** Ends a sequence: its pages go back with the next step. */
  cancel(one: Running): void {
    if (!this.#schedule.has(one) || this.#cancelled.has(one)) return;
    this.#cancelled.add(one);
    one.queue.push([], "cancelled");
  }

  /** Cancels all sequences, or tells them that the device is lost, and frees the batch after the step that runs. */
  close(free: () => void): void {
    try {
      this.#passes.model.gpu.throwIfLost();
    } catch (error) {
      // Those that run, and then those that wait.
      while (this.#schedule.sequences.length > 0) this.#fail(error);
    }
    for (const one of this.#schedule.sequences) this.cancel(one);
    this.#free = free;
    if (!this.#isRunning) free();
  }

  async #run(): Promise<void> {
    while (!this.#free && this.#schedule.isBusy) {
      const start = performance.now();
      try {
        await this.#runSteps();
      } catch (error) {
        this.#fail(error);
      }
      this.#counted.milliseconds += performance.now() - start;
    }
    this.#isRunning = false;
    // Steps of cancelled sequences: the time until the next one comes is none of theirs.
    this.#untold.steps.length = 0;
    this.#free?.();
  }

  /** Runs steps up to the next one that the host needs the tokens of, and reads them. */
  async #runSteps(): Promise<void> {
    do {
      for (const one of this.#cancelled) this.#end(one);
      this.#cancelled.clear();
      // Whoever arrives while this waits is among them: a step has none that was not prepared.
      for (const one of this.#arrived) await this.#prepare(one);
      await this.#step();
    } while (!this.#schedule.isReadDue);
    const unread = this.#schedule.read();
    if (unread.length === 0) return;
    const chosen = await this.#sampler.read();
    for (const one of unread) {
      try {
        this.#read(one, chosen);
      } catch (error) {
        // The caller's own function failed, which concerns nobody else.
        one.queue.fail(error);
        this.#schedule.leave(one);
      }
    }
    const { steps, start } = this.#untold;
    const milliseconds = performance.now() - start;
    this.#onSteps({ steps: steps.splice(0, Infinity), milliseconds });
  }

  /** Allocates what choosing the tokens of a sequence takes; where that is refused, this one ends, and no other. */
  async #prepare(one: Running): Promise<void> {
    this.#arrived.delete(one);
    if (!this.#schedule.has(one)) return;
    try {
      await this.#sampler.reserve(one.sampling);
    } catch (error) {
      if (!this.#cancelled.delete(one)) one.queue.fail(error);
      this.#schedule.leave(one);
    }
  }

  async #step(): Promise<void> {
    const { model: { gpu }, cache } = this.#passes;
    const { device } = gpu;
    if (this.#untold.steps.length === 0) this.#untold.start = performance.now();
    const { encoder, joined, setBack, work } = await gpu.guard(ACTION, () => {
      const encoder = device.createCommandEncoder();
      return { encoder, ...this.#schedule.step(new CachePlaces(cache, encoder)) };
    });
    await this.#setSampling(joined);
    this.#counted.setBacks += setBack.length;
    if (work.length > 0) await this.#submit(encoder, work);
    else await gpu.guard(ACTION, () => device.queue.submit([encoder.finish()]));
  }

  /** Tells the sampler of sequences that begin to run. */
  async #setSampling(joined: PlacedStep<Running>["joined"]): Promise<void> {
    for (const { slot, sampling, tokens, promptLength } of joined) {
      await this.#sampler.set(slot!, sampling, {
        prompt: tokens.slice(0, promptLength),
        generated: tokens.slice(promptLength),
      });
    }
  }

  /** Encodes and submits the tokens of a step, and the choice of those that follow. */
  async #submit(encoder: GPUCommandEncoder, work: readonly PlacedWork<Running>[]): Promise<void> {
    const passes = this.#passes;
    const { gpu, spec: { dim } } = passes.model;
    const numTokens = work.reduce((sum, { count }) => sum + count, 0);
    const newest = work.filter(({ isNewest }) => isNewest);
    const slots = newest.map(({ slot }) => slot);
    const layers = await passes.layers({ numTokens, numSequences: work.length });
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
    const contexts = work.reduce((sum, { first, count }) => sum + first + count, 0);
    const sequences = work.length;
    const meanContext = contexts / sequences;
    this.#untold.steps.push({ tokens: numTokens, sequences, meanContext });
    for (const { one, slot, first, count } of work) {
      this.#counted.prompt += Math.max(0, Math.min(first + count, one.promptLength) - first);
      one.chosenIn = slot;
    }
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
        this.#schedule.leave(one);
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
    this.#schedule.leave(one);
  }

  /** Ends the sequences that run by an error, and begins with empty pages: what they hold is not known. */
  #fail(error: unknown): void {
    for (const one of this.#schedule.reset()) {
      one.queue.fail(error);
      this.#arrived.delete(one);
      this.#cancelled.delete(one);
    }
    this.#untold.steps.length = 0;
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
}

/** The tokens of a sequence in a step; one that the host has not read is the newest of its place. */
function tokensOf({ one, slot, first, count }: PlacedWork<Running>): number[] {
  return Array.from({ length: count }, (_, i) => one.tokens[first + i] ?? NEWEST + slot);
}

/** The rows, among the tokens of a step, behind which tokens are chosen. */
function lastRows(work: readonly PlacedWork<Running>[]): number[] {
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
