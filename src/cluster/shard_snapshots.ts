/** The snapshots of a shard's layers on the worker's side, which leave and come in parts. */
import { sentence } from "../base/check.ts";
import { MessageError } from "./errors.ts";
import { PartialSnapshot } from "./partial_snapshot.ts";
import type { ShardAttention } from "./shard_attention.ts";
import { decodeWords, encodeWords, PART_BYTES } from "./shard_message.ts";

/** One snapshot at a time, as the reader asks for one part after the other. */
export class ShardSnapshots {
  readonly #attention: ShardAttention;
  readonly #most: () => number;
  #leaving: { layer: number; bytes: Uint8Array } | undefined;
  #coming: { layer: number; parts: PartialSnapshot } | undefined;

  /** @param most Most bytes of the body of a message. */
  constructor(attention: ShardAttention, most: () => number) {
    this.#attention = attention;
    this.#most = most;
  }

  /** Forgets what was left half. */
  clear(): void {
    this.#leaving = this.#coming = undefined;
  }

  /** The body that answers a `save`. */
  async save(layer: number, body: Uint8Array): Promise<readonly Uint8Array[]> {
    const { words: [from, wanted] } = decodeWords(body, 2);
    if (from === 0) this.#leaving = { layer, bytes: await this.#attention.snapshot(layer) };
    const { layer: saved, bytes } = this.#leaving ?? {};
    if (saved !== layer || !bytes || from >= bytes.length) {
      throw new MessageError(
        sentence("save a shard", "parts must be asked for in their order", { layer, from }),
      );
    }
    const most = Math.min(wanted, this.#most() - PART_BYTES);
    return [encodeWords(bytes.length), bytes.subarray(from, from + most)];
  }

  /** Takes the body of a `restore`. */
  async restore(layer: number, body: Uint8Array): Promise<void> {
    const { words: [from, total], rest: bytes } = decodeWords(body, 2);
    if (from === 0) {
      this.#coming = { layer, parts: new PartialSnapshot(total, this.#attention.layerBytes) };
    }
    const { layer: restored, parts } = this.#coming ?? {};
    if (restored !== layer || !parts) {
      throw new MessageError(
        sentence("restore a shard", "parts must come in their order", { layer, from }),
      );
    }
    parts.add({ from, total, bytes });
    if (!parts.isWhole) return;
    this.#coming = undefined;
    await this.#attention.restore(layer, parts.join());
  }
}
