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
