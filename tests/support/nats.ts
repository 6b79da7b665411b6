// A nats-server of the test's own, on a free port of this machine. Tests of it are skipped, and say so, where it is absent.
import type { NatsConnection, NodeConnectionOptions } from "@nats-io/transport-node";
import { natsOf } from "../../src/cluster/cluster.ts";
import { type Cluster, connect } from "../../src/cluster/mod.ts";
import { type Random, testRandomly } from "./random.ts";

/** Whether the program is there; says so once a file if not. */
const hasServer = isThere();

/** A server that runs. */
export class NatsServer {
  readonly url: string;
  readonly #process: Deno.ChildProcess;
  readonly #log: ReadableStreamDefaultReader<string>;
  readonly #connections: NatsConnection[] = [];

  private constructor(
    url: string,
    process: Deno.ChildProcess,
    log: ReadableStreamDefaultReader<string>,
  ) {
    this.url = url;
    this.#process = process;
    this.#log = log;
  }

  /** Starts one by its own options. */
  static async start(...options: string[]): Promise<NatsServer> {
    const process = new Deno.Command("nats-server", {
      args: ["--addr", "127.0.0.1", "--port", "-1", ...options],
      ...{ stdout: "null", stderr: "piped" },
    }).spawn();
    const reader = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    while (!said.includes("Server is ready")) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`nats-server ended: ${said}`);
      said += value;
    }
    const [, port] = said.match(/client connections on 127\.0\.0\.1:(\d+)/)!;
    return new NatsServer(`nats://127.0.0.1:${port}`, process, reader);
  }

  /** A connection that is closed with the server. */
  async join(
    options: NodeConnectionOptions = {},
  ): Promise<Cluster & { connection: NatsConnection }> {
    const connection = natsOf({
      connection: await connect({ servers: this.url, reconnect: false, ...options }),
      prefix: "test",
    });
    this.#connections.push(connection);
    return { connection, prefix: "test" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) await connection.close();
    this.#process.kill("SIGKILL");
    await this.#log.cancel();
    await this.#process.status;
  }
}

/** A test that starts servers. */
export function testNats(name: string, test: (random: Random) => Promise<void>): void {
  if (hasServer) testRandomly(name, test);
  else Deno.test(name, { ignore: true }, () => {});
}

function isThere(): boolean {
  try {
    new Deno.Command("nats-server", { args: ["--version"] }).outputSync();
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("NATS is not tested: nats-server is absent (Debian's package nats-server)");
    return false;
  }
}
