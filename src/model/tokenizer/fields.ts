import { sentence } from "../../base/check.ts";
import { CheckpointError } from "../../base/errors.ts";
import { cut, excerpt } from "../../base/excerpt.ts";
import { isJsonObject, type JsonObject } from "../../base/json.ts";

/** Most characters of a field in a message: a file may have fields of any name. */
const LONGEST_FIELD = 100;

/** The fields of an object in a file of JSON, each checked where it is asked for; null is as if a field were not there. */
export class Fields {
  /** The name of the object in messages: "tokenizer.json" or "decoder.decoders.0 of tokenizer.json". */
  readonly name: string;
  /** The fields as they are. */
  readonly values: JsonObject;

  constructor(name: string, values: JsonObject) {
    this.name = name;
    this.values = values;
  }

  /** A text. */
  text(field: string): string | undefined {
    return this.#find(field, (value) => typeof value === "string", "a text");
  }

  /** True or false. */
  flag(field: string): boolean | undefined {
    return this.#find(field, (value) => typeof value === "boolean", "true or false");
  }

  /** A whole number within bounds. */
  count(field: string, [least, most]: [least: number, most: number]): number | undefined {
    const isCount = (value: unknown) =>
      Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
    return this.#find(field, isCount, `a whole number from ${least} to ${most}`);
  }

  /** A list. */
  list(field: string): unknown[] | undefined {
    return this.#find(field, Array.isArray, "a list");
  }

  /** An object. */
  section(field: string): Fields | undefined {
    const values = this.#find<JsonObject>(field, isJsonObject, "an object");
    return values && this.within(field, values);
  }

  /** A value that must be there. */
  required<Value>(field: string, value: Value | undefined): Value {
    if (value !== undefined) return value;
    throw this.error(`"${field}" is missing`, { fields: Object.keys(this.values) });
  }

  /** An object inside of this one, which must be one. */
  within(place: string, values: unknown): Fields {
    if (isJsonObject(values)) return new Fields(`"${place}" in ${this.name}`, values);
    throw this.error(`"${place}" must be an object`, { [place]: values });
  }

  /** The error that something is not as it must be. */
  error(rule: string, values: JsonObject, cause?: unknown): CheckpointError {
    return new CheckpointError(sentence(`read ${this.name}`, rule, values), { cause });
  }

  #find<Value>(
    field: string,
    isKind: (value: unknown) => boolean,
    kind: string,
  ): Value | undefined {
    const value = Object.hasOwn(this.values, field) ? this.values[field] ?? undefined : undefined;
    if (value === undefined || isKind(value)) return value as Value | undefined;
    throw this.error(`${excerpt(field)} must be ${kind}`, { [cut(field, LONGEST_FIELD)]: value });
  }
}
