/** Connects a command to a NATS server, with credentials from the environment. */
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  type NodeConnectionOptions,
} from "@nats-io/transport-node";
import { type Cluster, connect } from "../../../src/cluster/mod.ts";
import { Files } from "../files.ts";
import type { ClusterOptions } from "./options.ts";

/** A variable of the environment, by the name that NATS's own command has for it. */
type Variable =
  | ("NATS_TOKEN" | "NATS_USER" | "NATS_PASSWORD" | "NATS_CREDS" | "NATS_NKEY")
  | ("NATS_CA" | "NATS_CERT" | "NATS_KEY");

/**
 * Connects to a server, and stays connected: a connection that breaks is made again.
 *
 * @param action What cannot be done without: "serve".
 * @throws {RangeError} If no server answers, or refuses the credentials.
 */
export async function openCluster(
  action: string,
  { url, prefix }: ClusterOptions,
  variable: (name: Variable) => string | undefined = (name) => Deno.env.get(name),
): Promise<Cluster> {
  const options = await credentialsOf(action, variable);
  try {
    const connection = await connect({
      ...{ servers: url, maxReconnectAttempts: -1, name: `onehead ${action}` },
      ...options,
    });
    return { connection, prefix };
  } catch (error) {
    throw new RangeError(
      `Cannot ${action} as the NATS server at ${url} does not take the connection ` +
        `(start one: nats-server --jetstream --addr 127.0.0.1): ${(error as Error).message}`,
    );
  }
}

/**
 * Rejects when this process cannot be asked any more, though nobody stopped it: it must not go on as if it could.
 *
 * @param action What it cannot do any more: "answer".
 * @param stopped Resolves then, with the reason where there is one.
 */
export async function unserved(
  action: string,
  { connection }: Cluster,
  stopped: Promise<unknown>,
): Promise<never> {
  const reason = await stopped;
  const why = connection.isClosed()
    ? "the connection to the NATS server was closed for good"
    : `${reason}`;
  throw new Error(`Cannot ${action} any more: ${why}`);
}

async function credentialsOf(
  action: string,
  variable: (name: Variable) => string | undefined,
): Promise<NodeConnectionOptions> {
  const bytesOf = async (name: Variable, end = "") => {
    const path = variable(name);
    return path === undefined
      ? undefined
      : new TextEncoder().encode((await new Files(action).readText(path)).trim() + end);
  };
  // The client finds no seed in a creds file that ends with it, but for a line's end.
  const [creds, seed] = [await bytesOf("NATS_CREDS", "\n"), await bytesOf("NATS_NKEY")];
  const authenticators: Authenticator[] = [
    ...(creds ? [credsAuthenticator(creds)] : []),
    ...(seed ? [nkeyAuthenticator(seed)] : []),
  ];
  const [caFile, certFile, keyFile] = (["NATS_CA", "NATS_CERT", "NATS_KEY"] as const).map(variable);
  return {
    token: variable("NATS_TOKEN"),
    user: variable("NATS_USER"),
    pass: variable("NATS_PASSWORD"),
    ...(authenticators.length > 0 && { authenticator: authenticators }),
    ...((caFile ?? certFile) && { tls: { caFile, certFile, keyFile } }),
  };
}
