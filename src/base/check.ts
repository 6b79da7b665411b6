/** Checks of what callers give, with errors that name the values. */
import { cut, excerpt } from "./excerpt.ts";

/** Most characters of an action: it may name a file, and names in files may be long. */
const LONGEST_ACTION = 500;

/** "Cannot <action> as <rule>: current values a=1, b=2" */
export function sentence(action: string, rule: string, values: Record<string, unknown>): string {
  const list = Object.entries(values).map(([name, value]) => `${name}=${excerpt(value)}`);
  const noun = list.length === 1 ? "current value" : "current values";
  return `Cannot ${cut(action, LONGEST_ACTION)} as ${rule}: ${noun} ${list.join(", ")}`;
}

/** Throws a `TypeError` for what is not a number and a `RangeError` for what is not a whole number of at least `min`. */
export function checkInteger(action: string, name: string, value: unknown, min = 1): void {
  if (typeof value !== "number") {
    throw new TypeError(sentence(action, `${name} must be a number`, { [name]: value }));
  }
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(
      sentence(action, `${name} must be a whole number of at least ${min}`, { [name]: value }),
    );
  }
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
