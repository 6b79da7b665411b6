// The sockets of connections.
import { assertEquals } from "@std/assert";
import type { EventEmitter } from "node:events";
import { NatsServer, testNats } from "../support/nats.ts";

testNats("connect: a socket keeps one listener to its errors, whatever is removed", async () => {
  await using server = await NatsServer.start();
  const { connection } = await server.join();
  // The client shows its socket to nobody.
  const inside = connection as unknown as { protocol: { transport: { socket: EventEmitter } } };
  const { socket } = inside.protocol.transport;
  socket.removeAllListeners("error");
  for (let time = 0; time < 3; time++) socket.removeAllListeners("none");
  assertEquals(socket.listenerCount("error"), 1);
});
