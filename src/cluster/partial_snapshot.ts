/** A snapshot that comes in parts, in their order. */
import { sentence } from "../base/check.ts";
import { MessageError } from "./errors.ts";
import type { SnapshotPart } from "./shard_message.ts";

/** More than the options of a cache take in a snapshot. */
const HEADER_BYTES = 2 ** 16;

/** The parts that are there. */
export class PartialSnapshot {
  readonly #total: number;
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /**
   * @param total Bytes of the whole snapshot, as a peer says.
   * @param rows Most bytes of keys and values that it can be of.
   * @throws {MessageError} If it would be longer.
   */
  constructor(total: number, rows: number) {
    const most = rows + HEADER_BYTES;
    if (total > most) refuse("it must be of a cache of this size", { total, most });
    this.#total = total;
  }

  /** Bytes that are there. */
  get length(): number {
    return this.#length;
  }

  /** Whether all of them are. */
  get isWhole(): boolean {
    return this.#length === this.#total;
  }

  /** Adds the next part. It is copied, as messages share their memory. */
  add({ from, total, bytes }: SnapshotPart): void {
    const length = this.#length;
    if (
      from !== length || total !== this.#total || bytes.length === 0 ||
      length + bytes.length > total
    ) {
      refuse("parts must come in their order", {
        ...{ from, bytes: bytes.length, total, before: length, expected: this.#total },
      });
    }
    this.#parts.push(new Uint8Array(bytes));
    this.#length += bytes.length;
  }

  /** All bytes, once it is whole. */
  join(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.#total);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }
}

function refuse(rule: string, values: Record<string, unknown>): never {
  throw new MessageError(sentence("read a snapshot", rule, values));
}
