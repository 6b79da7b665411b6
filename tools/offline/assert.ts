// Stand-ins for the part of `@std/assert` that this repository uses, for machines where JSR cannot be reached. They are
// called as their originals are, and NaN is neither in an order nor close to anything, itself included.

import { inspect, isDeepStrictEqual } from "node:util";

type Class<T> = abstract new (...args: never[]) => T;

/** What a failed assertion throws. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

function fail(what: string, msg?: string): never {
  throw new AssertionError(msg ? `${what}: ${msg}` : what);
}

function show(value: unknown): string {
  return inspect(value, { depth: 8, maxArrayLength: 1000, sorted: true });
}

export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) fail(`${actual} is no value`, msg);
}

export function assertStrictEquals(actual: unknown, expected: unknown, msg?: string) {
  if (!Object.is(actual, expected)) fail(`${show(actual)} is not ${show(expected)} itself`, msg);
}

/** Deep equality as Node has it; unlike in `@std`, 0 is not -0, and no getter tells what a class keeps private. */
export function assertEquals<T>(actual: T, expected: T, msg = "These are not equal") {
  if (isDeepStrictEqual(actual, expected)) return;
  fail(`${msg}:\n  actual:   ${show(actual)}\n  expected: ${show(expected)}`);
}

export function assertNotEquals<T>(actual: T, expected: T, msg?: string) {
  if (isDeepStrictEqual(actual, expected)) fail(`Both are ${show(actual)}`, msg);
}

/** |actual - expected| <= tolerance, by default 1e-7 of `expected`; an infinity is close to itself. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance = isFinite(expected) ? Math.abs(expected * 1e-7) : 0,
  msg?: string,
) {
  if (actual === expected || Math.abs(expected - actual) <= tolerance) return;
  fail(`${actual} is not within ${tolerance} of ${expected}`, msg);
}

export function assertGreater<T>(actual: T, expected: T, msg?: string) {
  if (!(actual > expected)) fail(`${show(actual)} is not > ${show(expected)}`, msg);
}

export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string) {
  if (!(actual >= expected)) fail(`${show(actual)} is not >= ${show(expected)}`, msg);
}

export function assertLess<T>(actual: T, expected: T, msg?: string) {
  if (!(actual < expected)) fail(`${show(actual)} is not < ${show(expected)}`, msg);
}

export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string) {
  if (!(actual <= expected)) fail(`${show(actual)} is not <= ${show(expected)}`, msg);
}

export function assertStringIncludes(actual: string, expected: string, msg?: string) {
  if (!actual.includes(expected)) fail(`"${actual}" does not contain "${expected}"`, msg);
}

export function assertMatch(actual: string, expected: RegExp, msg?: string) {
  if (!expected.test(actual)) fail(`"${actual}" does not match ${expected}`, msg);
}

export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: Class<T>,
  msg?: string,
): asserts actual is T {
  if (!(actual instanceof expectedType)) fail(`${show(actual)} is no ${expectedType.name}`, msg);
}

type Thrown<E> = [ErrorClass?: Class<E & Error>, msgIncludes?: string, msg?: string];

/** `fn` throws anything, or an error of class `ErrorClass` with `msgIncludes` in its message. Returns what it threw. */
export function assertThrows<E = unknown>(fn: () => unknown, ...expected: Thrown<E>): E {
  const [ErrorClass, msgIncludes, msg] = expected;
  try {
    fn();
  } catch (error) {
    if (ErrorClass) assertInstanceOf(error, ErrorClass, msg);
    if (msgIncludes) assertStringIncludes((error as Error).message, msgIncludes, msg);
    return error as E;
  }
  fail("Nothing was thrown", msg);
}

/** The promise that `fn` returns rejects, as `assertThrows` says; what `fn` itself throws is not caught. */
export async function assertRejects<E = unknown>(
  fn: () => PromiseLike<unknown>,
  ...expected: Thrown<E>
): Promise<E> {
  const [outcome] = await Promise.allSettled([fn()]);
  return assertThrows(() => {
    if (outcome.status === "rejected") throw outcome.reason;
  }, ...expected);
}
