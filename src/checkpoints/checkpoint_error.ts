import { CheckpointError } from "../base/errors.ts";
import { sentence } from "../base/check.ts";
import { excerpt } from "../base/excerpt.ts";

/** "Cannot read <what> as <rule>: current values a=1, b=2" */
export function checkpointError(
  what: string,
  rule: string,
  values: Record<string, unknown>,
  cause?: unknown,
): CheckpointError {
  return new CheckpointError(sentence(`read ${what}`, rule, values), { cause });
}

/** The name of a tensor in messages. */
export function tensorOf(file: string, name: string): string {
  return `tensor ${excerpt(name)} of ${file}`;
}
