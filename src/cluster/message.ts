/** Messages of JSON between peers: of bounded size, and checked as they are read. */
import { sentence } from "../base/check.ts";
import { cutMessage } from "../base/excerpt.ts";
import { MessageError } from "./errors.ts";

const READ = "read a message";

/** Writes a value as a message. */
export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/**
 * Writes a message of some fields and one more, which a caller gave.
 *
 * @throws {TypeError} If JSON cannot hold its value, such as a bigint or an object that holds itself; `cause` says why.
 */
export function encodeGiven(
  action: string,
  [name, value]: readonly [name: string, value: unknown],
  fields: Record<string, unknown> = {},
): Uint8Array {
  let cause: unknown;
  try {
    const text = JSON.stringify({ ...fields, [name]: value });
    // JSON leaves fields out that it has no word for.
    if (text !== JSON.stringify(fields)) return new TextEncoder().encode(text);
  } catch (error) {
    cause = error;
  }
  throw new TypeError(sentence(action, `${name} must be JSON`, { [name]: value }), { cause });
}

/**
 * Reads a message.
 *
 * @throws {MessageError} If it has more than `maxBytes`, which is said before it is decoded, or is no JSON in UTF-8.
 */
export function decodeJson(bytes: Uint8Array, maxBytes: number): unknown {
  if (bytes.length > maxBytes) {
    throw new MessageError(
      sentence(READ, "it must have at most maxBytes", { bytes: bytes.length, maxBytes }),
    );
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new MessageError(cutMessage(`Cannot ${READ}: ${(error as Error).message}`));
  }
}
