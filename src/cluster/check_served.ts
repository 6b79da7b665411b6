/** Whether others can reach a service: the client says nothing where the server refuses a subscription of one. */
import type { Service } from "@nats-io/services";
import { errors, type QueuedIterator, type Status } from "@nats-io/transport-node";
import { sentence } from "../base/check.ts";
import { type Cluster, natsOf } from "./cluster.ts";
import { delay } from "./delay.ts";

/**
 * Waits until the server has all subscriptions of a service, and stops the service by an error where it takes one away later.
 *
 * @throws {RangeError} If it refuses one.
 */
export async function checkServed(
  action: string,
  cluster: Cluster,
  service: Service,
): Promise<void> {
  void stopWhenRefused(cluster, service);
  await cluster.connection.flush();
  // What the server said before it answered is told by now.
  await delay(0);
  if (!service.isStopped) return;
  const rule = "the NATS server must let this account subscribe to all subjects of a service";
  throw new RangeError(sentence(action, rule, { error: await service.stopped }));
}

async function stopWhenRefused(cluster: Cluster, service: Service): Promise<void> {
  const own = service.info().endpoints.map(({ subject }) => subject);
  const statuses = natsOf(cluster).status() as QueuedIterator<Status>;
  void service.stopped.then(() => statuses.stop());
  for await (const status of statuses) {
    const error = status.type === "error" ? status.error : undefined;
    if (!(error instanceof errors.PermissionViolationError)) continue;
    const { operation, subject } = error;
    const isOwn = own.includes(subject) || subject.startsWith("$SRV.");
    if (operation === "subscription" && isOwn) await service.stop(error);
  }
}
