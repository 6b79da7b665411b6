// Messages of what callers give: written once, and refused with the reason where JSON cannot hold it.
import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { decodeJson, encodeGiven } from "../../src/cluster/message.ts";

Deno.test("encodeGiven: what a caller gives is written once, behind the other fields", () => {
  let written = 0;
  const value = { toJSON: () => [++written, "ü"] };
  const bytes = encodeGiven("ask", ["request", value], { version: 1 });
  assertEquals(decodeJson(bytes, 100), { version: 1, request: [1, "ü"] });
  assertEquals(decodeJson(encodeGiven("ask", ["request", null]), 100), { request: null });
});

Deno.test("encodeGiven: what JSON cannot hold is an error that has the reason", () => {
  const refused = (value: unknown): unknown => {
    const write = () => encodeGiven("ask", ["request", value], { version: 1 });
    const error = assertThrows(write, TypeError, "Cannot ask as request must be JSON");
    return (error as Error).cause;
  };
  const own = new RangeError("not this one");
  const throwing = () => {
    throw own;
  };
  assertEquals(refused({ toJSON: throwing }), own);
  const cycle: unknown[] = [];
  cycle.push(cycle);
  for (const value of [1n, cycle]) assertInstanceOf(refused(value), TypeError);
  // JSON leaves these out without a reason.
  const lost = { toJSON: () => undefined };
  for (const value of [undefined, () => {}, Symbol(), lost]) {
    assertEquals(refused(value), undefined);
  }
});
