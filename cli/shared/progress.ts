/** Progress of long work: `using progress = ...` clears its line where the work ends, also by an error. */
export interface Progress extends Disposable {
  /** One more step of it begins, or is done. */
  step(what: string): void;
}

/** Progress that nobody sees. */
export const SILENT: Progress = { step() {}, [Symbol.dispose]() {} };

/** Progress on stderr: one line that is rewritten on a terminal, one line a step elsewhere. */
export class TerminalProgress implements Progress {
  readonly #total: number;
  readonly #isTerminal = Deno.stderr.isTerminal();
  #done: number;

  /** @param done Steps that were done before. */
  constructor(total: number, done = 0) {
    this.#total = total;
    this.#done = done;
  }

  step(what: string): void {
    const line = `[${++this.#done}/${this.#total}] ${what}`;
    this.#write(this.#isTerminal ? `\r\x1b[K${line}` : `${line}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#isTerminal) this.#write("\r\x1b[K");
  }

  #write(text: string): void {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}
