import type { NatsConnection } from "@nats-io/transport-node";
import { checkFunction, checkObject, sentence } from "../base/check.ts";

/** A connection to a NATS server: what {@linkcode connect} gives. Its other calls are used too. */
export interface Connection {
  /** Resolves when the server has all that was sent. */
  flush(): Promise<void>;
  /** Whether it is closed for good. */
  isClosed(): boolean;
  /** Closes it; what waits for it fails. */
  close(): Promise<void>;
}

/**
 * Machines that find each other at a NATS server. The connection is the caller's, with its credentials and its TLS; the caller
 * closes it.
 */
export interface Cluster {
  /** Through it all messages go. */
  connection: Connection;
  /**
   * The first word of every subject, of letters, digits, `_` and single `-` between them: clusters of different prefixes do not
   * meet.
   */
  prefix: string;
}

/** Throws a `TypeError` unless a cluster and its connection are objects. */
export function checkCluster(action: string, cluster: Cluster): void {
  checkObject(action, "cluster", cluster);
  checkObject(action, "connection", cluster.connection);
  const connection = natsOf(cluster);
  for (const call of ["publish", "subscribe", "request", "flush"] as const) {
    checkFunction(action, `connection.${call}`, connection[call]);
  }
}

/** Most bytes of a message that is decoded, where a caller does not say otherwise: as a NATS server passes on by default. */
export const MAX_BYTES = 2 ** 20;

/** The words of a subject: nothing that NATS, its services or {@linkcode nameOf} take for a separator or a wildcard. */
const WORD = /^\w+(-\w+)*$/;

/** The connection of a cluster, with all of its calls. */
export function natsOf({ connection }: Cluster): NatsConnection {
  return connection as NatsConnection;
}

/** Most bytes of a message that the server passes on, with its headers, and at most `maxBytes`. */
export function mostOf(cluster: Cluster, maxBytes: number): number {
  return Math.min(maxBytes, natsOf(cluster).info?.max_payload ?? maxBytes);
}

/** `prefix--word--word`, for what has a name without dots: no other words have the same. */
export function nameOf(cluster: Pick<Cluster, "prefix">, ...words: string[]): string {
  return subjectOf(cluster, ...words).replaceAll(".", "--");
}

/** Whether a value is a word that subjects are made of. */
export function isWord(value: unknown): value is string {
  return typeof value === "string" && WORD.test(value);
}

/** `prefix.word.word`, of words that are checked. */
export function subjectOf({ prefix }: Pick<Cluster, "prefix">, ...words: string[]): string {
  for (const word of [prefix, ...words]) {
    if (isWord(word)) continue;
    throw new RangeError(
      sentence(
        "name a subject",
        "its words must be of letters, digits, _ and single - between them",
        { word },
      ),
    );
  }
  return [prefix, ...words].join(".");
}
