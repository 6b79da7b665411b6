// Names of subjects, streams and services.
import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { nameOf, subjectOf } from "../../src/cluster/cluster.ts";

Deno.test("nameOf: no two rows of words have one name", () => {
  assertEquals(nameOf({ prefix: "a" }, "b-c", "jobs"), "a--b-c--jobs");
  assertNotEquals(nameOf({ prefix: "a" }, "b-c"), nameOf({ prefix: "a-b" }, "c"));
});

Deno.test("subjectOf: words that could be taken for others are refused", () => {
  assertEquals(subjectOf({ prefix: "a_1" }, "b", "c-2"), "a_1.b.c-2");
  for (const word of ["", "-", "-a", "a-", "a--b", "a.b", "a b", "*", ">"]) {
    assertThrows(() => subjectOf({ prefix: "a" }, word), RangeError, "single - between them");
    assertThrows(() => nameOf({ prefix: word }, "a"), RangeError, "single - between them");
  }
});
