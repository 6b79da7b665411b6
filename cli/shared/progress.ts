/** Progress of long work on stderr: one line that is rewritten on a terminal, one line a step elsewhere. */
export class Progress {
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

  end(): void {
    if (this.#isTerminal) this.#write("\r\x1b[K");
  }

  #write(text: string): void {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}
