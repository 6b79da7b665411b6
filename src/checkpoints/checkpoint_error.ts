import { CheckpointError } from "../base/errors.ts";
import { sentence } from "../base/check.ts";

/** Most characters of a value in a message: what a damaged file holds may be long. */
const LONGEST = 80;

/** "Cannot read <what> as <rule>: current values a=1, b=2" */
export function checkpointError(
  what: string,
  rule: string,
  values: Record<string, unknown>,
  cause?: unknown,
): CheckpointError {
  const shown = Object.entries(values).map(([name, value]) => [name, shorten(value)]);
  return new CheckpointError(sentence(`read ${what}`, rule, Object.fromEntries(shown)), { cause });
}

/** What messages call a tensor. */
export function tensorOf(file: string, name: string): string {
  return `tensor "${cut(name)}" of ${file}`;
}

function shorten(value: unknown): unknown {
  if (typeof value === "string") return cut(value);
  if (typeof value !== "object" || value === null) return value;
  return { toString: () => cut(JSON.stringify(value)) };
}

function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;
}
