// A nats-server of the test's own, on a free port of this machine. Tests of it are skipped, and say so, where it is absent.
import { fileURLToPath } from "node:url";
import type { NatsConnection, NodeConnectionOptions } from "@nats-io/transport-node";
import { type NatsProcess, startNatsServer } from "../../cli/shared/cluster/nats_server.ts";
import { natsOf } from "../../src/cluster/cluster.ts";
import { type Cluster, connect } from "../../src/cluster/mod.ts";
import { type Random, testRandomly } from "./random.ts";

/** What all servers have, but for those that have a file of their own. */
const CONFIG = fileURLToPath(new URL("nats.conf", import.meta.url));

/** Whether the program is there; says so once a file if not. */
const hasServer = isThere();

/** A server that runs. */
export class NatsServer {
  #running: NatsProcess;
  readonly #connections: NatsConnection[] = [];

  private constructor(running: NatsProcess) {
    this.#running = running;
  }

  /** Starts one by its own options. */
  static async start(...options: string[]): Promise<NatsServer> {
    return new NatsServer(await runServer("-1", options));
  }

  /** Its address. */
  get url(): string {
    return this.#running.url;
  }

  /** Kills it, until it starts again. */
  async kill(): Promise<void> {
    await this.#running.kill();
  }

  /** Starts it again by such options at the same address. */
  async startAgain(...options: string[]): Promise<void> {
    this.#running = await runServer(this.#running.port, options);
  }

  /** Kills it, and starts it again by such options at the same address. */
  async restart(...options: string[]): Promise<void> {
    await this.kill();
    await this.startAgain(...options);
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
    await this.#running.kill();
  }
}

/** Starts a process; of the port -1 the server takes a free one. */
function runServer(port: string, options: readonly string[]): Promise<NatsProcess> {
  const config = options.includes("--config") ? [] : ["--config", CONFIG];
  return startNatsServer("test NATS", { port, options: [...config, ...options] });
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
