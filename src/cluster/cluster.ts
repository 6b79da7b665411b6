import type { NatsConnection } from "@nats-io/transport-node";
import { sentence } from "../base/check.ts";

/**
 * Machines that find each other at a NATS server. The connection is the caller's, with its credentials and its TLS; the caller
 * closes it.
 */
export interface Cluster {
  /** A connection of `@nats-io/transport-node`, or of another of NATS's transports. */
  connection: NatsConnection;
  /** The first word of every subject, of letters, digits, `-` and `_`: clusters of different prefixes do not meet. */
  prefix: string;
}

/** Most bytes of a message that is decoded, where a caller does not say otherwise: as a NATS server passes on by default. */
export const MAX_BYTES = 2 ** 20;

/** The words of a subject: nothing that NATS or its services take for a separator or a wildcard. */
const WORD = /^[-\w]+$/;

/** `prefix.word.word`, of words that are checked. */
export function subjectOf({ prefix }: Pick<Cluster, "prefix">, ...words: string[]): string {
  for (const word of [prefix, ...words]) {
    if (WORD.test(word)) continue;
    throw new RangeError(
      sentence("name a subject", "its words must be of letters, digits, - and _", { word }),
    );
  }
  return [prefix, ...words].join(".");
}
