/** A nats-server of a command's own, on loopback. */

/** A server that runs in a process of its own. */
export interface NatsProcess {
  port: string;
  /** Its address. */
  url: string;
  kill(): Promise<void>;
}

/**
 * Starts nats-server on this machine's loopback, and waits until it takes connections.
 *
 * @param action What cannot be done without: "compare shards".
 * @param port Its port; of -1 the server takes a free one.
 * @param options Options of nats-server's own.
 * @throws {RangeError} If the program is absent, or ends by itself; the message has what it said.
 */
export async function startNatsServer(
  action: string,
  { port = "-1", options = [], program = "nats-server" }: {
    port?: string;
    options?: readonly string[];
    program?: string;
  } = {},
): Promise<NatsProcess> {
  const process = spawn(action, program, ["--addr", "127.0.0.1", "--port", port, ...options]);
  const log = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!said.includes("Server is ready")) {
    const { done, value } = await log.read();
    if (done) throw new RangeError(`Cannot ${action} as ${program} ended: ${said}`);
    said += value;
  }
  const kill = async () => {
    process.kill("SIGKILL");
    await log.cancel();
    await process.status;
  };
  const [, own] = said.match(/client connections on 127\.0\.0\.1:(\d+)/)!;
  return { port: own, url: `nats://127.0.0.1:${own}`, kill };
}

function spawn(action: string, program: string, args: string[]): Deno.ChildProcess {
  try {
    return new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new RangeError(
      `Cannot ${action} as ${program} is absent (install Debian's package nats-server, or name a server that runs: --nats URL)`,
    );
  }
}
