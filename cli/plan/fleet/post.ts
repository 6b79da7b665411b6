/** Messages between machines. */

/** Messages, each under way for as long: they arrive in the order in which they were sent. */
export class Post {
  readonly #sent: { at: number; arrive: (now: number) => void }[] = [];
  /** Those at the front that arrived: taking each off alone would move all behind it. */
  #arrived = 0;

  /** @param seconds Seconds of a message. */
  constructor(readonly seconds: number) {}

  /** The second at which the next message arrives. */
  get nextAt(): number {
    return this.#sent[this.#arrived]?.at ?? Infinity;
  }

  /** Sends a message. */
  send(now: number, arrive: (now: number) => void): void {
    this.#sent.push({ at: now + this.seconds, arrive });
  }

  /** Delivers those that arrive now, and what is sent and arrives at once by them. */
  deliver(now: number): void {
    while (this.nextAt <= now) {
      const { arrive } = this.#sent[this.#arrived++];
      if (2 * this.#arrived > this.#sent.length) {
        this.#sent.splice(0, this.#arrived);
        this.#arrived = 0;
      }
      arrive(now);
    }
  }
}
