// Stand-ins for the part of `@std/assert` that this repository uses, for machines where JSR cannot be reached.
// Signatures and verdicts are those of `@std/assert`; the messages are plainer.

// deno-lint-ignore no-explicit-any
type Class<T> = abstract new (...args: any[]) => T;
type Falsy = false | 0 | 0n | "" | null | undefined;

/** What a failed assertion throws. */
export class AssertionError extends Error {
  override name = "AssertionError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Fails always. */
export function fail(msg?: string): never {
  throw new AssertionError(`Failed assertion${suffix(msg)}`);
}

/** `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** `expr` is falsy. */
export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

/** `actual` is neither null nor undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    throw new AssertionError(`Expected ${actual} to be a value${suffix(msg)}`);
  }
}

/** Both are the same by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (!Object.is(actual, expected)) {
    throw new AssertionError(`Values are not the same${suffix(msg)}${compared(actual, expected)}`);
  }
}

/** Both are deeply equal: 0 equals -0, NaN equals NaN, and prototypes count. */
export function assertEquals<T>(actual: T, expected: T, msg?: string) {
  const path = firstDifference(actual, expected);
  if (path !== undefined) {
    const where = path && ` at ${path}`;
    throw new AssertionError(
      `Values are not equal${where}${suffix(msg)}${compared(actual, expected)}`,
    );
  }
}

/** Both are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string) {
  if (firstDifference(actual, expected) === undefined) {
    throw new AssertionError(`Values are equal${suffix(msg)}${compared(actual, expected)}`);
  }
}

/** |actual - expected| <= tolerance, by default 1e-7 of `expected`; NaN is close to NaN alone. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance: number = isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7,
  msg?: string,
) {
  if (Object.is(actual, expected) || Math.abs(expected - actual) <= tolerance) return;
  throw new AssertionError(
    `Expected ${actual} to be within ${tolerance} of ${expected}${suffix(msg)}`,
  );
}

/** actual > expected */
export function assertGreater<T>(actual: T, expected: T, msg?: string) {
  if (!(actual > expected)) throw unordered(actual, ">", expected, msg);
}

/** actual >= expected */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string) {
  if (!(actual >= expected)) throw unordered(actual, ">=", expected, msg);
}

/** actual < expected */
export function assertLess<T>(actual: T, expected: T, msg?: string) {
  if (!(actual < expected)) throw unordered(actual, "<", expected, msg);
}

/** actual <= expected */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string) {
  if (!(actual <= expected)) throw unordered(actual, "<=", expected, msg);
}

/** `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string) {
  if (!actual.includes(expected)) {
    throw new AssertionError(`Expected "${actual}" to contain "${expected}"${suffix(msg)}`);
  }
}

/** `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string) {
  if (!expected.test(actual)) {
    throw new AssertionError(`Expected "${actual}" to match ${expected}${suffix(msg)}`);
  }
}

/** `actual` is an instance of `expectedType`. */
export function assertInstanceOf<
  // deno-lint-ignore no-explicit-any
  T extends abstract new (...args: any[]) => any,
>(actual: unknown, expectedType: T, msg = ""): asserts actual is InstanceType<T> {
  if (!(actual instanceof expectedType)) {
    throw new AssertionError(
      `Expected an instance of ${expectedType.name}${suffix(msg)}\n  actual: ${show(actual)}`,
    );
  }
}

/** `error` is an Error of class `ErrorClass` whose message has `msgMatches` in it. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: Class<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  assertInstanceOf(error, ErrorClass ?? Error, msg);
  if (!(error instanceof Error)) throw new AssertionError(`Expected an Error${suffix(msg)}`);
  if (msgMatches instanceof RegExp) assertMatch(error.message, msgMatches, msg);
  else if (msgMatches) assertStringIncludes(error.message, msgMatches, msg);
}

/** `fn` throws: anything, or an error of class `ErrorClass` with `msgIncludes` in its message. Returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: Class<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  classOrMsg?: Class<Error> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  if (typeof classOrMsg === "string") msg = classOrMsg;
  try {
    fn();
  } catch (error) {
    if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, msg);
    return error;
  }
  throw new AssertionError(`Expected function to throw${suffix(msg)}`);
}

/** The promise that `fn` returns rejects, as `assertThrows` says. To throw before returning one is a failure. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: Class<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: Class<Error> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  if (typeof classOrMsg === "string") msg = classOrMsg;
  let promise: PromiseLike<unknown> | undefined;
  try {
    promise = fn();
  } catch {
    // Told below: no promise came.
  }
  if (typeof promise?.then !== "function") {
    throw new AssertionError(`Expected function to return a promise${suffix(msg)}`);
  }
  try {
    await promise;
  } catch (error) {
    if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, msg);
    return error;
  }
  throw new AssertionError(`Expected function to reject${suffix(msg)}`);
}

/** Both are deeply equal, as `assertEquals` says. */
export function equal(a: unknown, b: unknown): boolean {
  return firstDifference(a, b) === undefined;
}

/** The path from two values to where they first differ ("" is the values themselves), or undefined if they are equal. */
function firstDifference(
  a: unknown,
  b: unknown,
  path = "",
  seen = new Map<unknown, unknown>(),
): string | undefined {
  if (a === b || Object.is(a, b)) return;
  if (!isObject(a) || !isObject(b) || prototypeOf(a) !== prototypeOf(b)) return path;
  if (seen.get(a) === b) return; // a cycle: decided by the call that is under way
  seen.set(a, b);

  if (a instanceof Date) return Object.is(Number(a), Number(b)) ? undefined : path;
  if (a instanceof RegExp || a instanceof URL) return String(a) === String(b) ? undefined : path;
  if (a instanceof ArrayBuffer) {
    return firstDifference(new Uint8Array(a), new Uint8Array(b as ArrayBuffer), path);
  }
  if (ArrayBuffer.isView(a) && !(a instanceof DataView)) {
    const [x, y] = [a, b] as unknown as ArrayLike<unknown>[];
    const length = Math.max(x.length, y.length);
    for (let i = 0; i < length; i++) {
      if (!(x[i] === y[i] || Object.is(x[i], y[i]))) return `${path}[${i}]`;
    }
    return;
  }
  if (a instanceof Set || a instanceof Map) {
    const [xs, ys] = [a, b].map((collection) => [...collection as Iterable<unknown>]);
    const has = (x: unknown) =>
      ys.some((y) => firstDifference(x, y, path, new Map(seen)) === undefined);
    return xs.length === ys.length && xs.every(has) ? undefined : path;
  }
  if (Object.keys(a).length !== Object.keys(b).length) return path;
  for (const key of new Set([...keysOf(a), ...keysOf(b)])) {
    const at = Array.isArray(a) ? `${path}[${String(key)}]` : `${path}.${String(key)}`;
    if (key in a !== key in b) return at;
    const difference = firstDifference(Reflect.get(a, key), Reflect.get(b, key), at, seen);
    if (difference !== undefined) return difference;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** The prototype; a record without one counts as a plain object. */
function prototypeOf(value: object): object {
  return Object.getPrototypeOf(value) ?? Object.prototype;
}

/** Every key, those of the classes included: a getter may show what a private field holds. */
function keysOf(value: object): (string | symbol)[] {
  const keys: (string | symbol)[] = [];
  const ends: unknown[] = [null, Object.prototype, Array.prototype];
  for (let at = value; !ends.includes(at); at = Object.getPrototypeOf(at)) {
    keys.push(...Reflect.ownKeys(at));
  }
  return keys;
}

function unordered(actual: unknown, relation: string, expected: unknown, msg?: string) {
  return new AssertionError(msg ?? `Expect ${show(actual)} ${relation} ${show(expected)}`);
}

function suffix(msg?: string): string {
  return msg ? `: ${msg}` : "";
}

function compared(actual: unknown, expected: unknown): string {
  return `\n  actual:   ${show(actual)}\n  expected: ${show(expected)}`;
}

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 6, sorted: true });
}
