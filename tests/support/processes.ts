// Commands that run beside a test, in processes of their own, until a signal ends them.

const DENO = [
  ...["run", "--quiet", "--no-check", "--allow-all", "--import-map=tools/offline/import_map.json"],
];

/** A command that runs. */
export class RunningCommand {
  /** Its first line. */
  readonly line: string;
  readonly #process: Deno.ChildProcess;
  readonly #out: ReadableStreamDefaultReader<string>;
  readonly #err: Promise<string>;
  #isOver = false;

  private constructor(
    line: string,
    process: Deno.ChildProcess,
    out: ReadableStreamDefaultReader<string>,
    err: Promise<string>,
  ) {
    this.line = line;
    this.#process = process;
    this.#out = out;
    this.#err = err;
  }

  /** Starts a command, such as "worker", or a program of the tests by its path, and waits for its first line. */
  static async start(
    name: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<RunningCommand> {
    const program = name.endsWith(".ts") ? name : `cli/${name}/main.ts`;
    const process = new Deno.Command(Deno.execPath(), {
      args: [...DENO, program, ...args],
      ...{ stdout: "piped", stderr: "piped", env },
    }).spawn();
    const out = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const err = new Response(process.stderr).text();
    let said = "";
    while (!said.includes("\n")) {
      const { done, value } = await out.read();
      if (done) throw new Error(`${name} ended: ${await err}`);
      said += value;
    }
    return new RunningCommand(said.slice(0, said.indexOf("\n")).trim(), process, out, err);
  }

  /** The number of its process. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Sends a signal; resolves when the process is over, with its exit code and what it said was wrong. */
  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<{ code: number; err: string }> {
    this.#process.kill(signal);
    return await this.ended();
  }

  /** Resolves when the process is over, as `end` does, which is not told to end by this. */
  async ended(): Promise<{ code: number; err: string }> {
    this.#isOver = true;
    await this.#out.cancel();
    const { code } = await this.#process.status;
    return { code, err: await this.#err };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.end("SIGKILL");
  }
}
