/** The messages that come to a subject of one's own, taken one by one, with a time to wait for each. */
import {
  createInbox,
  type Msg,
  type NatsConnection,
  type Subscription,
} from "@nats-io/transport-node";

/** A subject that nobody else knows, until it is closed. */
export class Inbox {
  readonly subject: string = createInbox();
  readonly #subscription: Subscription;
  readonly #messages: Msg[] = [];
  #error: Error | undefined;
  #isClosed = false;
  #wake = () => {};

  constructor(connection: NatsConnection) {
    this.#subscription = connection.subscribe(this.subject, {
      callback: (error, message) => {
        if (error) this.#error = error;
        else this.#messages.push(message);
        this.#wake();
      },
    });
  }

  /**
   * The next message; undefined where none comes within `ms`, or where the inbox is closed.
   *
   * @throws The error of the subscription, as where the server does not allow it.
   */
  async next(ms: number): Promise<Msg | undefined> {
    if (this.#messages.length === 0 && !this.#error && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const message = this.#messages.shift();
    if (!message && this.#error) throw this.#error;
    return message;
  }

  /** Gives up the subject: who still sends to it is told by the server. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#subscription.unsubscribe();
    this.#wake();
  }
}
