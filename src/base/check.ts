/** Checks of what callers give, with errors that name the values. */
import { cut, cutMessage, excerpt } from "./excerpt.ts";
import { isTypedNumbers } from "./numbers.ts";

/** Most characters of an action: it may name a file, and names in files may be long. */
const LONGEST_ACTION = 500;

/** Axes of a tensor: far more than anyone has. */
const MOST_AXES = 32;
/** The least number that a device may not take for zero. */
const LEAST_NORMAL = 2 ** -126;

/** "Cannot <action> as <rule>: current values a=1, b=2" */
export function sentence(action: string, rule: string, values: Record<string, unknown>): string {
  const list = Object.entries(values).map(([name, value]) => `${name}=${excerpt(value)}`);
  const noun = list.length === 1 ? "current value" : "current values";
  const text = `Cannot ${cut(action, LONGEST_ACTION)} as ${rule}: ${noun} ${list.join(", ")}`;
  return cutMessage(text);
}

/** Throws a `TypeError` unless `value` is an object, such as options that are there. */
export function checkObject(action: string, name: string, value: unknown): void {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(sentence(action, `${name} must be an object`, { [name]: value }));
}

/** Throws a `TypeError` unless `value` is a function. */
export function checkFunction(action: string, name: string, value: unknown): void {
  if (typeof value === "function") return;
  throw new TypeError(sentence(action, `${name} must be a function`, { [name]: value }));
}

/** Throws a `TypeError` unless `value` is an `AbortSignal`. */
export function checkSignal(action: string, value: unknown): void {
  if (value instanceof AbortSignal) return;
  throw new TypeError(sentence(action, "signal must be an AbortSignal", { signal: value }));
}

/** Throws a `TypeError` unless `value` is true or false. */
export function checkBoolean(action: string, name: string, value: unknown): void {
  if (typeof value === "boolean") return;
  throw new TypeError(sentence(action, `${name} must be true or false`, { [name]: value }));
}

/** Throws a `TypeError` unless `value` is an array. */
export function checkArray(action: string, name: string, value: unknown): void {
  if (Array.isArray(value)) return;
  throw new TypeError(sentence(action, `${name} must be an array`, { [name]: value }));
}

/** Throws a `TypeError` unless `values` is an array, typed or not, of numbers. */
export function checkNumbers(action: string, name: string, values: unknown): void {
  if (isTypedNumbers(values)) return;
  if (!Array.isArray(values)) {
    throw new TypeError(
      sentence(action, `${name} must be an array of numbers`, { [name]: values }),
    );
  }
  // Of an array with holes, these count too.
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] === "number") continue;
    const element = `${name}[${i}]`;
    throw new TypeError(sentence(action, `${element} must be a number`, { [element]: values[i] }));
  }
}

/** Throws a `TypeError` unless `value` is a string, such as the path of a file. */
export function checkString(action: string, name: string, value: unknown): void {
  if (typeof value === "string") return;
  throw new TypeError(sentence(action, `${name} must be a string`, { [name]: value }));
}

/** Throws a `TypeError` unless each value is an object; the message has its name. */
export function checkObjects(action: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) checkObject(action, name, value);
}

/** Throws as {@linkcode checkObjects}, for values that may be left out. */
export function checkGiven(action: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) checkObject(action, name, value);
  }
}

/** Throws a `TypeError` unless `value` is a number. */
export function checkNumber(action: string, name: string, value: unknown): void {
  if (typeof value === "number") return;
  throw new TypeError(sentence(action, `${name} must be a number`, { [name]: value }));
}

/** Throws a `TypeError` for what is not a number and a `RangeError` for what is not finite, or below 0. */
export function checkAmount(action: string, name: string, value: unknown): void {
  checkNumber(action, name, value);
  if (value as number >= 0 && value as number < Infinity) return;
  throw new RangeError(
    sentence(action, `${name} must be at least 0 and finite`, { [name]: value }),
  );
}

/**
 * Throws a `TypeError` for what is not a number and a `RangeError` for what is not a whole number of at least `min`, and at most
 * `max` where there is such a bound.
 */
export function checkInteger(
  action: string,
  name: string,
  value: unknown,
  min = 1,
  max = Infinity,
): void {
  checkNumber(action, name, value);
  const count = value as number;
  if (Number.isSafeInteger(count) && count >= min && count <= max) return;
  const most = max === Infinity ? "" : ` and at most ${max}`;
  throw new RangeError(
    sentence(action, `${name} must be a whole number of at least ${min}${most}`, { [name]: value }),
  );
}

/**
 * Throws a `TypeError` for what is not a number and a `RangeError` for what is not finite in f32, in which kernels compute.
 */
export function checkFinite(action: string, name: string, value: unknown): void {
  checkNumber(action, name, value);
  if (!Number.isFinite(Math.fround(value as number))) {
    throw new RangeError(
      sentence(action, `${name} must be finite in f32, which holds up to 3.4e38`, {
        [name]: value,
      }),
    );
  }
}

/** Throws as {@linkcode checkFinite}, and a `RangeError` for what f32 holds as zero, or what is below it. */
export function checkPositive(action: string, name: string, value: unknown): void {
  checkFinite(action, name, value);
  if (value as number >= LEAST_NORMAL) return;
  throw new RangeError(
    sentence(action, `${name} must be above zero in f32 (1.2e-38 or more)`, { [name]: value }),
  );
}

/**
 * A copy of a shape, which its owner cannot change after it was checked. Throws a `TypeError` for what is no array of sizes and a
 * `RangeError` for a size that is not a whole number of at least 1.
 */
export function copyShape(action: string, name: string, shape: unknown): number[] {
  const axes = Array.isArray(shape) ? shape.length : 0;
  if (axes < 1 || axes > MOST_AXES) {
    throw new TypeError(
      sentence(action, `${name} must be an array of sizes (1 to ${MOST_AXES} of them)`, {
        [name]: shape,
      }),
    );
  }
  const copy = Array.from({ length: axes }, (_, axis) => (shape as unknown[])[axis]);
  copy.forEach((size, axis) => checkInteger(action, `${name}[${axis}]`, size));
  return copy as number[];
}

/** Throws a `RangeError` unless every KV head has as many query heads. */
export function checkGroups(
  action: string,
  { numHeads, numKvHeads }: { numHeads: number; numKvHeads: number },
): void {
  if (numHeads % numKvHeads === 0) return;
  throw new RangeError(
    sentence(action, "numHeads must be a multiple of numKvHeads", { numHeads, numKvHeads }),
  );
}

/** Throws a `TypeError` unless `value` is one of `choices`. */
export function checkChoice(
  action: string,
  name: string,
  value: unknown,
  choices: readonly unknown[],
): void {
  if (!choices.includes(value)) {
    throw new TypeError(
      sentence(action, `${name} must be one of ${choices.map(excerpt).join(", ")}`, {
        [name]: value,
      }),
    );
  }
}
