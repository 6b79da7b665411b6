// Waiting for a worker's next message: what counts as its silence, and what it said before it ended.
import { assertEquals, assertRejects } from "@std/assert";
import { type Msg, NoRespondersError, RequestError } from "@nats-io/transport-node";
import { type Cluster, WorkerLostError } from "../../src/cluster/mod.ts";
import type { Inbox } from "../../src/cluster/inbox.ts";
import { nextFrom } from "../../src/cluster/next_message.ts";
import { compute } from "../support/compute.ts";

const PATIENCE = 30;

/** Waits for a message that an inbox has when it is looked at for the second time; `wait` is the first look. */
function nextMessage(
  wait: () => void,
  probe: () => Promise<{ string(): string }>,
  silence = PATIENCE / 3,
) {
  let looks = 0;
  const next = () => {
    if (++looks === 1) wait();
    return Promise.resolve(looks === 2 ? { data: new Uint8Array([7]) } as Msg : undefined);
  };
  const [inbox, cluster] = [{ subject: "inbox", next }, { connection: { request: probe } }];
  return nextFrom(cluster as unknown as Cluster, {
    ...{ inbox: inbox as unknown as Inbox, worker: "one", subject: "one", isTaken: true },
    ...{ silence, patience: PATIENCE },
  });
}

Deno.test("nextFrom: what comes while this thread computes is no silence", async () => {
  const working = () => Promise.resolve({ string: () => "true" });
  // The first wait is one of many, or the last one.
  for (const silence of [PATIENCE / 3, 2 * PATIENCE]) {
    const message = await nextMessage(() => compute(2 * PATIENCE), working, silence);
    assertEquals(message, new Uint8Array([7]));
  }
});

Deno.test("nextFrom: what a worker said before it ended is taken first", async () => {
  const ended = () => {
    const cause = new NoRespondersError("one.probe");
    return Promise.reject(new RequestError("nobody", { cause }));
  };
  assertEquals(await nextMessage(() => {}, ended), new Uint8Array([7]));
});

Deno.test("nextFrom: a worker that only says that it works is lost after its patience", async () => {
  const cluster = { connection: { request: () => Promise.resolve({ string: () => "true" }) } };
  let waited = 0;
  const next = (ms: number) => {
    waited += ms;
    return Promise.resolve(undefined);
  };
  const inbox = { subject: "inbox", next } as unknown as Inbox;
  await assertRejects(
    () =>
      nextFrom(cluster as unknown as Cluster, {
        ...{ inbox, worker: "one", subject: "one", isTaken: true, silence: 7, patience: 30 },
      }),
    WorkerLostError,
    "said nothing for 30 ms",
  );
  assertEquals(waited, 30);
});
