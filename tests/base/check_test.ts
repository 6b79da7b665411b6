import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  checkChoice,
  checkFinite,
  checkInteger,
  checkObject,
  checkPositive,
  copyShape,
  sentence,
} from "../../src/base/check.ts";

Deno.test("sentence: action, rule and values", () => {
  assertEquals(
    sentence("add", "a must be less than b", { a: 3, b: [1, "x"] }),
    'Cannot add as a must be less than b: current values a=3, b=[1, "x"]',
  );
  assertEquals(
    sentence("add", "a must be 1", { a: 3 }),
    "Cannot add as a must be 1: current value a=3",
  );
  assertEquals(
    sentence("add", "a must be empty", { a: [1, 2] }),
    "Cannot add as a must be empty: current value a=[1, 2]",
  );
});

Deno.test("sentence: shows what is no text, whatever it is", () => {
  for (const value of [undefined, null, 2n, NaN, Symbol("s"), {}, () => {}]) {
    sentence("add", "a must be a number", { a: value });
  }
});

Deno.test("sentence: shows what is long, deep or holds itself by its beginning", () => {
  const ofA = (a: unknown) => sentence("add", "a must be 1", { a });
  assertEquals(
    ofA({ b: [1, null, undefined], "c d": { e: "f" } }).split("value ")[1],
    'a={"b":[1, null, undefined], "c d":{"e":"f"}}',
  );
  assertEquals(ofA("x".repeat(1e7)).split("value ")[1], `a="${"x".repeat(99)}...`);
  assertEquals(ofA(new Float32Array(1e7)).split("value ")[1], "a=Float32Array(10000000)");
  assertEquals(ofA(new Map()).split("value ")[1], "a=Map");
  assertEquals(ofA(new RangeError("b")).split("value ")[1], "a=RangeError: b");
  assertEquals(ofA(Object.create(null)).split("value ")[1], "a={}");
  assertEquals(ofA(Object.create(Object.create(null))).split("value ")[1], "a=object");

  const cyclic: Record<string, unknown> = {};
  cyclic.itself = cyclic;
  let deep: unknown = [];
  for (let level = 0; level < 1e5; level++) deep = [deep];
  const error = new Error("x".repeat(1e7));
  for (const value of [cyclic, deep, error, new Array(1e7), new Array(1e5).fill("x".repeat(1e4))]) {
    assert(ofA(value).length < 200, ofA(value));
    assert(ofA({ [`${"y".repeat(1e5)}`]: value }).length < 200);
  }
  assert(sentence(`read ${"x".repeat(1e7)}`, "it must be short", { a: 1 }).length < 600);
});

Deno.test("sentence: what would steer a terminal is written as numbers", () => {
  const steering = "\x1b[2J\x9b31m\x07\u202eabc\u2028";
  const shown = sentence(`read ${steering}`, "it must be plain", { a: steering, b: [steering] });
  assertEquals(/[\p{Cc}\p{Bidi_Control}\u2028]/u.test(shown), false);
  assertStringIncludes(shown, "Cannot read \\u001b[2J\\u009b31m\\u0007\\u202eabc\\u2028 as");
});

Deno.test("checkInteger: whole numbers from the least on", () => {
  for (const value of [1, 2, Number.MAX_SAFE_INTEGER]) checkInteger("add", "a", value);
  checkInteger("add", "a", 0, 0);
  for (const value of [0, -1, 0.5, NaN, Infinity, 2 ** 53]) {
    const says = `Cannot add as a must be a whole number of at least 1: current value a=${value}`;
    assertThrows(() => checkInteger("add", "a", value), RangeError, says);
  }
  for (const value of ["1", 1n, null, undefined, true, [1], {}]) {
    assertThrows(() => checkInteger("add", "a", value), TypeError, "a must be a number");
  }
});

Deno.test("checkChoice: one of those, of the same kind", () => {
  checkChoice("add", "a", "x", ["x", "y"]);
  checkChoice("add", "a", false, [true, false]);
  const says = 'Cannot add as a must be one of "x", "y": current value a="z"';
  assertThrows(() => checkChoice("add", "a", "z", ["x", "y"]), TypeError, says);
  assertThrows(() => checkChoice("add", "a", 0, [true, false]), TypeError, "a=0");
});

Deno.test("sentence: a value that throws when it is looked at is shown by its kind", () => {
  const thrower = () => {
    throw new Error("hands off");
  };
  const hostile: readonly unknown[] = [
    new Proxy({}, { get: thrower, getPrototypeOf: thrower, ownKeys: thrower }),
    new Proxy([], { get: thrower }),
    Object.defineProperty({}, "a", { get: thrower, enumerable: true }),
    Object.defineProperty(() => {}, "name", { value: Symbol("name") }),
    Object.create({}, { constructor: { get: thrower } }),
    10n ** 100_000n,
    Symbol("s".repeat(1e5)),
  ];
  for (const value of hostile) {
    const { length } = sentence("add", "a must be 1", { a: value });
    assert(length < 200);
  }
  const values = Object.fromEntries(
    Array.from({ length: 99 }, (_, i) => [`v${i}`, "x".repeat(99)]),
  );
  assert(sentence("add", "a must be 1", values).length <= 2000);
});

Deno.test("checkObject: options that are there, by name", () => {
  checkObject("add", "options", {});
  checkObject("add", "options", []);
  for (const value of [null, undefined, 1, "x", () => {}]) {
    assertThrows(
      () => checkObject("add", "options", value),
      TypeError,
      "options must be an object",
    );
  }
});

Deno.test("checkFinite, checkPositive: numbers as f32 holds them", () => {
  for (const value of [0, -1.5, 3.4028235e38, 1e-300]) checkFinite("add", "a", value);
  for (const value of [NaN, Infinity, -Infinity, 3.5e38, -1e300]) {
    assertThrows(() => checkFinite("add", "a", value), RangeError, "a must be finite in f32");
    assertThrows(() => checkPositive("add", "a", value), RangeError, "a must be finite in f32");
  }
  for (const value of ["1", 1n, null, undefined, true, [1], {}]) {
    assertThrows(() => checkFinite("add", "a", value), TypeError, "a must be a number");
  }
  checkPositive("add", "a", 2 ** -126);
  for (const value of [0, -1, 2 ** -127, 1e-300]) {
    assertThrows(() => checkPositive("add", "a", value), RangeError, "a must be above zero in f32");
  }
});

Deno.test("copyShape: an array of sizes, read once", () => {
  const shape = [2, 3];
  const copy = copyShape("add", "shape", shape);
  shape[0] = 7;
  assertEquals(copy, [2, 3]);
  let reads = 0;
  const shifty = new Proxy([1, 1], {
    get: (target, name) => name === "0" ? ++reads : Reflect.get(target, name),
  });
  assertEquals(copyShape("add", "shape", shifty), [1, 1]);
  assertEquals(reads, 1);
  for (const wrong of [undefined, null, "12", { length: 2, 0: 1, 1: 1 }, [], new Array(1e9)]) {
    assertThrows(() => copyShape("add", "shape", wrong), TypeError, "must be an array of sizes");
  }
  assertThrows(() => copyShape("add", "shape", new Array(2)), TypeError, "shape[0]=undefined");
  assertThrows(() => copyShape("add", "shape", [1, 0]), RangeError, "shape[1]=0");
  assertThrows(() => copyShape("add", "shape", [1.5]), RangeError, "shape[0]=1.5");
});
