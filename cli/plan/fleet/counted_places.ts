/** The places of a batch's sequences, with pages that are counted and nothing in them. */
import type { ScheduledSequence, SequencePlaces } from "../../../src/model/batch_schedule.ts";

/** Counts the pages of sequences that share none. */
export class CountedPlaces implements SequencePlaces<ScheduledSequence> {
  readonly total: number;
  readonly pageSize: number;
  available: number;
  /** Tokens of each place. */
  readonly #lengths: number[];

  /** Begins with all pages available. */
  constructor(
    { total, pageSize, places }: { total: number; pageSize: number; places: number },
  ) {
    this.total = total;
    this.pageSize = pageSize;
    this.available = total;
    this.#lengths = new Array(places).fill(0);
  }

  needed({ slot }: ScheduledSequence, tokens: number): number {
    const length = slot === undefined ? 0 : this.#lengths[slot];
    return this.#pages(length + tokens) - this.#pages(length);
  }

  freedBy({ slot }: ScheduledSequence): number {
    return this.#pages(this.#lengths[slot!]);
  }

  begin(): number {
    return 0;
  }

  extend(counts: readonly number[]): void {
    counts.forEach((count, slot) => {
      if (count > 0) this.#setLength(slot, this.#lengths[slot] + count);
    });
  }

  clear(slot: number): void {
    this.#setLength(slot, 0);
  }

  #setLength(slot: number, length: number): void {
    this.available += this.#pages(this.#lengths[slot]) - this.#pages(length);
    this.#lengths[slot] = length;
  }

  #pages(tokens: number): number {
    return Math.ceil(tokens / this.pageSize);
  }
}
