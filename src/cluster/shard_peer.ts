/** A shard of a context, as its reader asks it. */
import { sentence } from "../base/check.ts";
import { type Cluster, natsOf } from "./cluster.ts";
import { MessageError, NoWorkerError, ShardLostError, WorkerLostError } from "./errors.ts";
import { errorOf, readFailure } from "./failure.ts";
import { Inbox } from "./inbox.ts";
import { decodeJson } from "./message.ts";
import { nextFrom, type Patience } from "./next_message.ts";
import { decodeShard, type ShardHeader } from "./shard_message.ts";

/** Which shard is asked, and how. */
export interface ShardPeerOptions extends Patience {
  /** The number of the shard. */
  shard: number;
  /** The subjects of its copies. */
  subjects: readonly string[];
  /** Most bytes of an answer. */
  maxBytes: number;
  /** Told, in a sentence, that a copy was lost while another one goes on. */
  warn: (sentence: string) => void;
}

/** What a shard is asked, and what it must answer. */
export interface ShardQuestion<Answer> {
  message: Uint8Array;
  /** The fields that the answer must have, beside the session. */
  expected: Pick<ShardHeader, "session" | "length"> & Partial<ShardHeader>;
  /** Reads the body of an answer that has them. */
  read: (body: Uint8Array, header: ShardHeader) => Answer;
}

/** Asks one copy. */
export type AskCopy = <Answer>(question: ShardQuestion<Answer>) => Promise<Answer>;

/** A copy of a shard; it is lost for good when it fails once. */
interface Copy {
  subject: string;
  isLost: boolean;
  /** Settles with what it was asked last. */
  last: Promise<unknown>;
}

/** All copies of one shard. */
export class ShardPeer {
  readonly #cluster: Cluster;
  readonly #options: ShardPeerOptions;
  readonly #copies: readonly Copy[];
  #isOver = false;

  constructor(cluster: Cluster, options: ShardPeerOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#copies = options.subjects.map((subject) => ({
      ...{ subject, isLost: false, last: Promise.resolve() },
    }));
  }

  /** Asks all copies, which do the same, and returns the first answer. */
  async ask<Answer>(question: ShardQuestion<Answer>): Promise<Answer> {
    const asked = (await this.#living()).map((copy) => {
      const answer = this.#askCopy(copy, question).catch((error) => {
        copy.isLost = true;
        throw error;
      });
      copy.last = answer;
      return { copy, answer };
    });
    try {
      const first = await Promise.any(asked.map(({ answer }) => answer));
      for (const { copy, answer } of asked) answer.catch((error) => this.#sayLost(copy, error));
      return first;
    } catch (error) {
      throw (error as AggregateError).errors.find((error) => error instanceof RangeError) ??
        (error as AggregateError).errors.at(-1);
    }
  }

  /** Reads something by several questions to one copy, and begins anew with the next one where that is lost. */
  async readOne<Value>(read: (ask: AskCopy) => Promise<Value>): Promise<Value> {
    const living = await this.#living();
    for (const [i, copy] of living.entries()) {
      try {
        return await read((question) => this.#askCopy(copy, question));
      } catch (error) {
        if (!(error instanceof ShardLostError) || i === living.length - 1) throw error;
        copy.isLost = true;
        this.#sayLost(copy, error);
      }
    }
    throw new ShardLostError(`Shard ${this.#options.shard} was lost: no copy of it is left`);
  }

  /** Says no more what becomes of its copies: others are asked from now on. */
  close(): void {
    this.#isOver = true;
  }

  /** The copies that are not lost, when each has answered: one that is slower would fall behind by more with each round. */
  async #living(): Promise<Copy[]> {
    // The wait ends with an answer, or with a loss.
    await Promise.allSettled(this.#copies.map(({ last }) => last));
    return this.#copies.filter(({ isLost }) => !isLost);
  }

  #sayLost({ subject }: Copy, { message }: Error): void {
    if (this.#isOver) return;
    this.#options.warn(`Copy ${subject} is lost, and another one goes on: ${message}`);
  }

  async #askCopy<Answer>(
    { subject }: Copy,
    { message, expected, read }: ShardQuestion<Answer>,
  ): Promise<Answer> {
    const { shard, maxBytes, silence, patience } = this.#options;
    const peer = `Shard ${shard}`;
    const inbox = new Inbox(natsOf(this.#cluster));
    try {
      natsOf(this.#cluster).publish(subject, message, { reply: inbox.subject });
      const waiting = { inbox, worker: subject, subject, isTaken: true, silence, patience };
      const bytes = await nextFrom(this.#cluster, waiting);
      const { header, body } = decodeShard(bytes!, maxBytes);
      if (header.kind === "failure") throw errorOf(readFailure(decodeJson(body, maxBytes)), peer);
      // What is not exactly what was asked for is no state, and never an empty one.
      const asked = { kind: "state", queries: 0, ...expected };
      const wrong = Object.entries(asked)
        .find(([name, value]) => header[name as keyof ShardHeader] !== value);
      if (wrong) {
        const [field, value] = wrong;
        throw new MessageError(
          sentence("read a state", "it must be the one that was asked for", {
            ...{ field, asked: value, answered: header[field as keyof ShardHeader] },
          }),
        );
      }
      return read(body, header);
    } catch (error) {
      const isLost = [WorkerLostError, NoWorkerError, MessageError]
        .some((kind) => error instanceof kind);
      if (!isLost) throw error;
      throw new ShardLostError(`${peer} was lost: ${(error as Error).message}`);
    } finally {
      inbox.close();
    }
  }
}
