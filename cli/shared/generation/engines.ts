/** The engine of the moment: a new one is opened once a device was lost. */
import type { Engine } from "./engine.ts";

/** An engine, and what tells that its device is lost. */
export interface OpenedEngine {
  engine: Engine;
  /** Resolves when the device is lost by itself. */
  lost: Promise<unknown>;
  /** Frees both. */
  destroy(): void;
}

/** Keeps an engine open. */
export class Engines {
  /** Rejects when a device was lost and no other engine could be opened: none is left then. */
  readonly failed: Promise<never>;
  readonly #open: () => Promise<OpenedEngine>;
  readonly #onLoss: () => void;
  readonly #fail: (error: unknown) => void;
  #opened: OpenedEngine;
  #isClosed = false;

  private constructor(
    open: () => Promise<OpenedEngine>,
    onLoss: () => void,
    first: OpenedEngine,
  ) {
    const { promise, reject } = Promise.withResolvers<never>();
    // Whoever does not wait for it is told by the engine, which has no device.
    promise.catch(() => {});
    this.failed = promise;
    this.#fail = reject;
    this.#open = open;
    this.#onLoss = onLoss;
    this.#opened = first;
    this.#follow(first);
  }

  /**
   * Opens the first engine.
   *
   * @param open Opens an engine.
   * @param onLoss Told when a device was lost.
   */
  static async create(
    open: () => Promise<OpenedEngine>,
    onLoss: () => void,
  ): Promise<Engines> {
    return new Engines(open, onLoss, await open());
  }

  /** The engine of the moment. */
  readonly current = (): Engine => this.#opened.engine;

  /** Frees the engine. */
  destroy(): void {
    this.#isClosed = true;
    this.#opened.destroy();
  }

  /** Opens another engine when the device is lost: once for each loss. */
  async #follow({ lost, destroy }: OpenedEngine): Promise<void> {
    await lost;
    if (this.#isClosed) return;
    this.#onLoss();
    try {
      destroy();
      const opened = await this.#open();
      // Whoever closed it meanwhile knew of the old one alone.
      if (this.#isClosed) return opened.destroy();
      this.#opened = opened;
      this.#follow(opened);
    } catch (error) {
      this.#fail(error);
    }
  }
}
