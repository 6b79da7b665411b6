/** A worker: answers requests item by item, as a NATS service that others discover. */
import { checkFunction, checkInteger, checkObject, checkString } from "../base/check.ts";
import { createInbox, type Subscription } from "@nats-io/transport-node";
import type { Service } from "@nats-io/services";
import { ANSWER_VERSION, type AnswerMessage, readRequest } from "./answer_protocol.ts";
import { failureOf } from "./failure.ts";
import { checkServed } from "./check_served.ts";
import { checkCluster, type Cluster, MAX_BYTES, nameOf, natsOf, subjectOf } from "./cluster.ts";
import { WorkerBusyError, WorkerLostError } from "./errors.ts";
import { decodeJson, encodeJson } from "./message.ts";
import { servicesOf } from "./services.ts";

const START = "start to answer";

/** An answer that is being made: its items as they come. */
export interface Answer extends AsyncIterable<readonly unknown[]> {
  /** Ends it, as nobody waits for it any more. */
  cancel(): void;
}

/** Options of {@linkcode AnswerService.start}. */
export interface AnswerServiceOptions {
  /** What is answered, a word: askers name it. */
  name: string;
  /** The model, as {@linkcode modelFingerprint} gives it: requests for another one are refused. */
  fingerprint: string;
  /** What askers choose a worker by, as JSON; it comes with the statistics of the service. */
  state: () => unknown;
  /**
   * Begins an answer to what an asker sent, which is to be checked. It throws a {@linkcode WorkerBusyError} where there is no
   * room, and a `TypeError` or a `RangeError` for a request that no worker can answer.
   */
  answer: (request: unknown) => Answer;
  /** Most bytes of a request. The default is 1 MiB. */
  maxBytes?: number;
  /** Milliseconds between two signs of life. The default is 500. */
  beat?: number;
}

/**
 * Answers requests as a NATS service: `nats service ls` lists it, with its statistics and its state. An answer that nobody waits
 * for any more is cancelled; what fails is told to who asked.
 *
 * @example Answer by counting, and ask
 * ```ts
 * import { AnswerService, ask, connect } from "@onehead/attention/cluster";
 *
 * async function count(servers: string) {
 *   const cluster = { connection: await connect({ servers }), prefix: "example" };
 *   const counting = { name: "count", fingerprint: "none" };
 *   const service = await AnswerService.start(cluster, {
 *     ...counting,
 *     state: () => ({}),
 *     answer: () => ({
 *       cancel() {},
 *       async *[Symbol.asyncIterator]() {
 *         yield [1, 2];
 *         yield [3];
 *       },
 *     }),
 *   });
 *   for await (const items of ask(cluster, { ...counting, worker: service.id }, "to three")) {
 *     console.log(items); // [1, 2], then [3]
 *   }
 *   await service.stop();
 *   await cluster.connection.close();
 * }
 * console.log(typeof count); // count("nats://127.0.0.1:4222"), where a nats-server runs
 * ```
 */
export class AnswerService {
  readonly #cluster: Cluster;
  readonly #options: AnswerServiceOptions;
  readonly #service: Service;
  /** The first words of the subjects at which the server says that nobody has an inbox any more. */
  readonly #watch: string;
  /** The inboxes of the answers under way. */
  readonly #inboxes = new Set<string>();
  /** What cancels the answers under way that somebody waits for, by where the server says that nobody does any more. */
  readonly #watched = new Map<string, () => void>();
  #watching: Subscription | undefined;
  readonly #stopping: AbortController;
  #begun = 0;
  #idle: (() => void) | undefined;

  private constructor(
    cluster: Cluster,
    options: AnswerServiceOptions,
    { service, stopping }: { service: Service; stopping: AbortController },
  ) {
    this.#cluster = cluster;
    this.#options = options;
    this.#service = service;
    this.#stopping = stopping;
    this.#watch = createInbox();
  }

  /**
   * Starts to answer.
   *
   * @param cluster Where askers are.
   * @param options What is answered, and how.
   * @returns The service, which answers until {@linkcode AnswerService.stop}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If the name or the prefix is no word, or the server refuses a subscription.
   */
  static async start(cluster: Cluster, options: AnswerServiceOptions): Promise<AnswerService> {
    checkCluster(START, cluster);
    checkObject(START, "options", options);
    const { name, fingerprint, state, answer, maxBytes, beat } = options;
    checkString(START, "fingerprint", fingerprint);
    checkFunction(START, "state", state);
    checkFunction(START, "answer", answer);
    if (maxBytes !== undefined) checkInteger(START, "maxBytes", maxBytes);
    if (beat !== undefined) checkInteger(START, "beat", beat);
    const stopping = new AbortController();
    const service = await servicesOf(cluster).add({
      name: nameOf(cluster, name),
      version: `${ANSWER_VERSION}.0.0`,
      metadata: { fingerprint },
      queue: "",
      // Without a state nobody asks it.
      statsHandler: () => Promise.resolve(stopping.signal.aborted ? null : state()),
    });
    const started = new AnswerService(cluster, options, { service, stopping });
    started.#listen();
    try {
      await checkServed(START, cluster, service);
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  /** What askers call this worker. */
  get id(): string {
    return this.#service.info().id;
  }

  /** The number of answers under way. */
  get running(): number {
    return this.#inboxes.size;
  }

  /**
   * Resolves when it answers no more: with null where it was told to stop, and with an error where the connection was closed, or
   * the server took a subject away.
   */
  get stopped(): Promise<Error | null> {
    return this.#service.stopped;
  }

  /** Takes no more requests; resolves when the answers under way are over. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#inboxes.size > 0) await new Promise<void>((resolve) => this.#idle = resolve);
    this.#watching?.unsubscribe();
    await this.#service.stop();
  }

  #listen(): void {
    const subject = subjectOf(this.#cluster, this.#options.name, this.id);
    this.#watching = natsOf(this.#cluster).subscribe(`${this.#watch}.*`, {
      callback: (_, { subject }) => {
        this.#watched.get(subject)?.();
        this.#watched.delete(subject);
      },
    });
    this.#service.addEndpoint("answer", {
      subject,
      handler: (_, { data, reply }) => void this.#answer(data, reply!),
    });
    this.#service.addEndpoint("probe", {
      subject: `${subject}.probe`,
      handler: (_, message) => {
        message.respond(encodeJson(this.#inboxes.has(message.string())));
      },
    });
  }

  async #answer(data: Uint8Array, inbox: string): Promise<void> {
    const connection = natsOf(this.#cluster);
    const watch = `${this.#watch}.${this.#begun++}`;
    const say = (message: AnswerMessage) => {
      // A connection that is closed has no askers left.
      if (connection.isClosed()) return;
      connection.publish(inbox, encodeJson(message), { reply: watch });
    };
    let beats: ReturnType<typeof setInterval> | undefined;
    let isCancelled = false;
    try {
      const answer = this.#begin(data);
      this.#inboxes.add(inbox);
      this.#watched.set(watch, () => {
        isCancelled = true;
        answer.cancel();
      });
      say({ kind: "beat" });
      beats = setInterval(() => say({ kind: "beat" }), this.#options.beat ?? 500);
      let count = 0;
      for await (const items of answer) {
        say({ kind: "items", from: count, items });
        count += items.length;
      }
      // Whoever has the inbox again after a break of the connection must not take these items for all.
      if (isCancelled) throw new WorkerLostError("nobody had the inbox of the answer");
      say({ kind: "end", count });
    } catch (error) {
      say({ kind: "failed", ...failureOf(error) });
    } finally {
      clearInterval(beats);
      this.#inboxes.delete(inbox);
      this.#watched.delete(watch);
      if (this.#inboxes.size === 0) this.#idle?.();
    }
  }

  #begin(data: Uint8Array): Answer {
    const { maxBytes = MAX_BYTES, fingerprint, answer } = this.#options;
    if (this.#stopping.signal.aborted) throw new WorkerBusyError("The worker is stopping");
    return answer(readRequest(decodeJson(data, maxBytes), fingerprint));
  }
}
