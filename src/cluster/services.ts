/** NATS services that answer inboxes alone. */
import { Svcm } from "@nats-io/services";
import type { NatsConnection } from "@nats-io/transport-node";
import { type Cluster, natsOf } from "./cluster.ts";

/**
 * The services at a cluster's server. A request whose reply goes elsewhere than to an inbox is ignored, also one for a
 * service's own statistics: what a worker may publish to, whoever asks it may not.
 */
export function servicesOf(cluster: Cluster): Svcm {
  const connection = natsOf(cluster);
  const guarded: NatsConnection = Object.create(connection, {
    subscribe: { value: subscribe },
  });
  // Their package has an older core beside it: its types differ, its calls do not.
  return new Svcm(guarded as unknown as ConstructorParameters<typeof Svcm>[0]);

  function subscribe(...[subject, options]: Parameters<NatsConnection["subscribe"]>) {
    const { callback } = options ?? {};
    return connection.subscribe(subject, {
      ...options,
      // Where the server refuses the subscription there is an error, and no message.
      callback: (error, message) => {
        if (error || message.reply?.startsWith("_INBOX.")) callback?.(error, message);
      },
    });
  }
}
