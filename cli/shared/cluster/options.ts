/** The options by which commands find each other at a NATS server. */
import type { Arguments } from "../arguments.ts";

/** The server, and the prefix of subjects. */
export interface ClusterOptions {
  url: string;
  prefix: string;
}

/** The names of the options. */
export const CLUSTER_NAMES = ["nats", "nats-prefix"] as const;

/** The help on them. */
export const NATS_HELP =
  `  --nats URL           a NATS server: nats://HOST:PORT, or tls://HOST:PORT; credentials come from the environment:
                       NATS_CREDS or NATS_NKEY (files), NATS_TOKEN, or NATS_USER and NATS_PASSWORD; and for TLS NATS_CA,
                       NATS_CERT and NATS_KEY (files)
  --nats-prefix TEXT   first word of all subjects: those of other prefixes do not meet (default: onehead)`;

/**
 * Reads the options beside the server's address.
 *
 * @throws {RangeError} If the address has credentials in it.
 */
export function readCluster(
  given: Pick<Arguments<"nats-prefix">, "text">,
  url: string,
): ClusterOptions {
  if (/^([^/]*\/\/)?[^/]*@/.test(url)) {
    throw new RangeError(
      "Cannot connect as others can read a command line: credentials come from the environment (--help lists the variables)",
    );
  }
  return { url, prefix: given.text("nats-prefix") ?? "onehead" };
}

/** Workers that a command waits for. */
export interface AwaitedCluster extends ClusterOptions {
  /** Milliseconds without any of them after which it gives up. */
  wait: number;
}

/** The help on how long a command waits. */
export const WAIT_HELP =
  `  --wait NUMBER        seconds without any worker after which the command gives up (default: 60)`;

/**
 * Reads where workers are, and how long the command waits for them; undefined where this machine does the work.
 *
 * @throws {RangeError} If the address has credentials in it, or there is an option of these without an address.
 */
export function readAwaited(
  action: string,
  given: Pick<Arguments<typeof CLUSTER_NAMES[number] | "wait">, "text" | "number" | "has">,
): AwaitedCluster | undefined {
  const url = given.text("nats");
  const wait = given.number("wait", { min: 0, isFraction: true }) ?? 60;
  if (url !== undefined) return { ...readCluster(given, url), wait: 1000 * wait };
  const lonely = (["nats-prefix", "wait"] as const).find((name) => given.has(name));
  if (lonely === undefined) return undefined;
  throw new RangeError(`Cannot ${action} as --${lonely} needs --nats beside it`);
}
