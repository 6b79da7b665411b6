/** JSON as Python's programs write it too, which have names for the numbers that JSON lacks. */
import { CheckpointError } from "./errors.ts";
import { sentence } from "./check.ts";
import { foreignFormat } from "./foreign_format.ts";

/** An object of JSON. */
export type JsonObject = Record<string, unknown>;

/** Deepest nesting. Files of models have less than ten levels; a million of them take a parser seconds. */
const DEEPEST = 100;

/** Whether a value is an object, and no array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Parses a text that must be a JSON object. `NaN`, `Infinity` and `-Infinity` are read as the numbers that they name.
 *
 * @param text The text; a byte order mark before it is passed over.
 * @param what What messages call it.
 * @throws {TypeError} If it is no string.
 * @throws {CheckpointError} If it is no JSON object.
 */
export function parseJsonObject(text: string, what: string): JsonObject {
  const fail = (rule: string, values: JsonObject, cause?: unknown) =>
    new CheckpointError(sentence(`read ${what}`, rule, values), { cause });
  if (typeof text !== "string") {
    throw new TypeError(sentence(`read ${what}`, "its text must be a string", { text }));
  }
  const json = text.startsWith("\uFEFF") ? text.slice(1) : text;
  const { depth, names } = scan(json);
  if (depth > DEEPEST) {
    throw fail(`nothing may be nested deeper than ${DEEPEST} levels (it is damaged)`, { depth });
  }
  let value: unknown;
  try {
    value = names.length > 0 ? parseWithNames(json, names) : JSON.parse(json);
  } catch (cause) {
    const error = (cause as Error).message;
    const other = foreignFormat(json);
    const rule = other
      ? `it is ${other.format} (${other.cure})`
      : "it is no JSON (mend it there, or fetch it again if it is damaged)";
    throw fail(rule, { error }, cause);
  }
  if (!isJsonObject(value)) throw fail("it must be a JSON object", { value });
  return value;
}

/** A number by name, and where it stands. */
interface NamedNumber {
  name: "NaN" | "Infinity";
  start: number;
}

/** Looks over a text outside of its strings: how deep it is nested, and which numbers stand there by name. */
function scan(json: string): { depth: number; names: NamedNumber[] } {
  const names: NamedNumber[] = [];
  let depth = 0;
  for (let i = 0, level = 0; i < json.length; i++) {
    switch (json[i]) {
      case '"':
        i = endOfString(json, i);
        break;
      case "[":
      case "{":
        depth = Math.max(depth, ++level);
        break;
      case "]":
      case "}":
        level--;
        break;
      case "N":
      case "I": {
        const name = (["NaN", "Infinity"] as const).find((name) => json.startsWith(name, i));
        if (name) names.push({ name, start: i });
      }
    }
  }
  return { depth, names };
}

/** Where the quote is that ends a string, or the text. */
function endOfString(json: string, start: number): number {
  let end = start + 1;
  while (end < json.length && json[end] !== '"') end += json[end] === "\\" ? 2 : 1;
  return end;
}

/** Parses with each name replaced: an infinity by a number beyond all others, NaN by a string that occurs nowhere else. */
function parseWithNames(json: string, names: readonly NamedNumber[]): unknown {
  const nan = crypto.randomUUID();
  let replaced = "";
  let end = 0;
  for (const { name, start } of names) {
    replaced += json.slice(end, start) + (name === "NaN" ? `"${nan}"` : "1e999");
    end = start + name.length;
  }
  return JSON.parse(replaced + json.slice(end), (_, value) => value === nan ? NaN : value);
}
