/** Owners of things that are freed by hand. */

/** A thing that is freed by hand: a buffer, or a holder of some. */
export interface Destroyable {
  /** Frees it. */
  destroy(): void;
}

/** All that one owner made and frees. */
export class Owned implements Destroyable {
  readonly #made: Destroyable[] = [];
  #isDestroyed = false;

  /** Makes something in several steps; where one fails, everything that the earlier ones kept is destroyed. */
  static async make<Value>(make: (owned: Owned) => Promise<Value>): Promise<Value> {
    const owned = new Owned();
    try {
      return await make(owned);
    } catch (error) {
      owned.destroy();
      throw error;
    }
  }

  /** Uses what it makes, and destroys everything that was kept at the end. */
  static async use<Value>(use: (owned: Owned) => Promise<Value>): Promise<Value> {
    const owned = new Owned();
    try {
      return await use(owned);
    } finally {
      owned.destroy();
    }
  }

  /** Keeps what was made; destroys it at once where the owner is gone already, as it may be after a wait. */
  keep<Made extends Destroyable>(made: Made): Made {
    if (this.#isDestroyed) made.destroy();
    else this.#made.push(made);
    return made;
  }

  /** Frees everything, the last first. */
  destroy(): void {
    this.#isDestroyed = true;
    while (this.#made.length > 0) this.#made.pop()!.destroy();
  }
}
