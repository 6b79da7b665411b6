/** Runs calls one at a time, in the order in which they come. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs a call when all before it are done, also those that failed. */
  take<Value>(call: () => Value | Promise<Value>): Promise<Value> {
    const turn = this.#last.then(call);
    this.#last = turn.then(() => {}, () => {});
    return turn;
  }
}
