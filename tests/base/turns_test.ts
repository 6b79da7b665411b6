// Calls that wait for each other.
import { assertEquals, assertRejects } from "@std/assert";
import { Turns } from "../../src/base/turns.ts";

Deno.test("Turns: calls run one at a time, in the order in which they come", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const call = (name: string) => async () => {
    log.push(`${name} begins`);
    await Promise.resolve();
    log.push(`${name} ends`);
    return name;
  };
  const results = await Promise.all([turns.take(call("a")), turns.take(call("b"))]);
  assertEquals(results, ["a", "b"]);
  assertEquals(log, ["a begins", "a ends", "b begins", "b ends"]);
});

Deno.test("Turns: a call that fails makes room for the next", async () => {
  const turns = new Turns();
  const failed = turns.take(() => {
    throw new RangeError("no room");
  });
  const next = turns.take(() => "next");
  await assertRejects(() => failed, RangeError, "no room");
  assertEquals(await next, "next");
});
