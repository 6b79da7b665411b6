/** A system in a process of its own: its memory is its own, and where it crashes, it crashes alone. */
import { cutMessage } from "../../src/base/excerpt.ts";
import { type Answer, type Failure, type Job, linesOf, type Ready, replyIn } from "./message.ts";
import type { Reply, Request } from "./message.ts";

/** A system said that it cannot, or ended. */
export class FailureError extends Error {
  override name = "FailureError";
  readonly verdict: Failure["verdict"];

  constructor({ verdict, message }: Failure) {
    super(message);
    this.verdict = verdict;
  }
}

/** Milliseconds after which a process that says nothing is given up. */
const PATIENCE_MS = 300_000;
/** The rights of a process; addons of Node need those of foreign functions. */
const RIGHTS = ["--allow-read", "--allow-ffi", "--allow-env", "--allow-sys", "--no-prompt"];
/** The page that systems for browsers look for. */
const PAGE = ["--location", "http://localhost/"];
const CHILD = new URL("child.ts", import.meta.url);

export class ModelProcess {
  readonly ready: Ready;
  readonly #child: Child;

  private constructor(child: Child, ready: Ready) {
    this.#child = child;
    this.ready = ready;
  }

  /**
   * Starts a system with a model.
   *
   * @throws {FailureError} If the system cannot run it.
   */
  static async start(job: Job): Promise<ModelProcess> {
    const child = new Child(job);
    try {
      const reply = await child.reply();
      if ("ready" in reply) return new ModelProcess(child, reply.ready);
      throw new TypeError("a process must be ready before it answers");
    } catch (error) {
      await child.end();
      throw error;
    }
  }

  /**
   * Has prompts continued.
   *
   * @throws {FailureError} If the system cannot.
   */
  async ask(request: Request): Promise<Answer> {
    await this.#child.write(request);
    const reply = await this.#child.reply();
    if ("answer" in reply) return reply.answer;
    throw new TypeError("a process must answer what it is asked");
  }

  /** Ends the process. */
  async end(): Promise<void> {
    await this.#child.end();
  }
}

/** The process, and the lines in and out of it. */
class Child {
  readonly #process: Deno.ChildProcess;
  readonly #lines: AsyncGenerator<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  /** The last line of its messages: where a process crashes, the reason. */
  readonly #lastWords: Promise<string>;
  /** Whether it was ended as it said nothing. */
  #isGivenUp = false;

  constructor(job: Job) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", ...RIGHTS, ...PAGE, CHILD.href, JSON.stringify(job)],
      ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
      env: { NO_COLOR: "1" },
    }).spawn();
    this.#lines = linesOf(this.#process.stdout);
    this.#input = this.#process.stdin.getWriter();
    this.#lastWords = lastLineOf(this.#process.stderr);
  }

  async write(request: Request): Promise<void> {
    // Where the process has ended, its reply says so.
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`))
      .catch(() => {});
  }

  async reply(): Promise<Exclude<Reply, { failure: Failure }>> {
    const reply = await this.#replyInTime();
    if (!reply) throw new FailureError({ verdict: "refused", message: await this.#whyEnded() });
    if ("failure" in reply) throw new FailureError(reply.failure);
    return reply;
  }

  /** The next reply; undefined where the process has ended, or was ended as it said nothing. */
  async #replyInTime(): Promise<Reply | undefined> {
    const timer = setTimeout(() => {
      this.#isGivenUp = true;
      this.#kill();
    }, PATIENCE_MS);
    try {
      return await this.#nextReply();
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next reply; undefined where the process has ended. */
  async #nextReply(): Promise<Reply | undefined> {
    while (true) {
      const { value, done } = await this.#lines.next();
      if (done) return undefined;
      const reply = replyIn(value);
      if (reply) return reply;
    }
  }

  async end(): Promise<void> {
    this.#kill();
    await this.#process.status;
    await this.#input.abort().catch(() => {});
    await this.#lines.return(undefined);
    await this.#lastWords;
  }

  #kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }

  async #whyEnded(): Promise<string> {
    if (this.#isGivenUp) return `its process said nothing for ${PATIENCE_MS / 1e3} s`;
    const { code, signal } = await this.#process.status;
    const how = signal ? `by ${signal}` : `with code ${code}`;
    return cutMessage(`its process ended ${how}: ${await this.#lastWords}`);
  }
}

async function lastLineOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let last = "";
  for await (const line of linesOf(stream)) if (line.trim() !== "") last = line.trim();
  return last;
}
