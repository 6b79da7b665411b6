import type { CheckpointError } from "../base/errors.ts";
import { isJsonObject, type JsonObject, parseJsonObject } from "../base/json.ts";
import { checkpointError } from "./checkpoint_error.ts";

/** Most of what a decoder has one object for: layers, heads, pairs of a head. More is a lie, and would take all memory. */
const MANY = 65_536;

/**
 * The fields of a `config.json` as Hugging Face repositories carry it. Each is checked when it is asked for; what is null or
 * lacks is as if it were not there.
 */
export class HfConfig {
  /** What messages call it. */
  readonly name: string;
  readonly #fields: JsonObject;
  /** What messages put before a field. */
  readonly #path: string;

  private constructor(name: string, fields: JsonObject, path = "") {
    this.name = name;
    this.#fields = fields;
    this.#path = path;
  }

  /**
   * Parses a text. Models that also see or hear keep the sizes of their decoder one level down, in `text_config`.
   *
   * @throws {CheckpointError} If the text is no JSON object.
   */
  static parse(text: string, name: string): HfConfig {
    const config = parseJsonObject(text, name);
    const { text_config: inner } = config;
    return new HfConfig(name, isJsonObject(inner) ? { ...config, ...inner } : config);
  }

  /** The same fields, and for those that lack these. */
  withDefaults(defaults: JsonObject): HfConfig {
    return new HfConfig(this.name, { ...defaults, ...this.#fields }, this.#path);
  }

  /** Whether the field is there. */
  has(field: string): boolean {
    return this.#fields[field] !== undefined && this.#fields[field] !== null;
  }

  /** The field as it is. */
  value(field: string): unknown {
    return this.#fields[field] ?? undefined;
  }

  /** The first of these fields that is there, a whole number of at least 1; families have names of their own. */
  findCount(...fields: string[]): number | undefined {
    const field = fields.find((field) => this.has(field));
    if (field === undefined) return undefined;
    const value = this.#fields[field];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
    throw this.error(field, "must be a whole number of at least 1");
  }

  /** As {@linkcode HfConfig.findCount}, and one of them must be there. */
  count(...fields: string[]): number {
    return this.findCount(...fields) ?? this.#missing(fields);
  }

  /** As {@linkcode HfConfig.count}, of what there are not many of. */
  few(...fields: string[]): number {
    const count = this.count(...fields);
    if (count <= MANY) return count;
    throw this.error(fields.find((field) => this.has(field))!, `must be at most ${MANY}`);
  }

  /** A number above 0. */
  positive(field: string): number {
    if (!this.has(field)) this.#missing([field]);
    const value = this.#fields[field];
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw this.error(field, "must be a number above 0");
  }

  /** True or false. */
  flag(field: string): boolean {
    if (!this.has(field)) this.#missing([field]);
    const value = this.#fields[field];
    if (typeof value === "boolean") return value;
    throw this.error(field, "must be true or false");
  }

  /** What the field's text stands for. */
  choice<Choice>(field: string, choices: Readonly<Record<string, Choice>>): Choice {
    if (!this.has(field)) this.#missing([field]);
    const value = this.#fields[field];
    if (typeof value === "string" && Object.hasOwn(choices, value)) return choices[value];
    throw this.error(field, `must be one of ${Object.keys(choices).join(", ")}`);
  }

  /** The fields of an object; nothing where it is not there. */
  section(field: string): HfConfig | undefined {
    if (!this.has(field)) return undefined;
    const value = this.#fields[field];
    if (isJsonObject(value)) return new HfConfig(this.name, value, `${this.#path}${field}.`);
    throw this.error(field, "must be an object");
  }

  /** Throws where a field is there and has none of these values: an option that the decoder lacks. */
  allowOnly(field: string, ...values: unknown[]): void {
    if (!this.has(field) || values.includes(this.#fields[field])) return;
    const rule = values.length > 0 ? `must be ${values.join(" or ")}` : "is not supported";
    throw this.error(field, rule);
  }

  /** The error that a field is not as it must be. */
  error(field: string, rule: string): CheckpointError {
    const name = `${this.#path}${field}`;
    return checkpointError(this.name, `"${name}" ${rule}`, { [name]: this.#fields[field] });
  }

  #missing(fields: string[]): never {
    const names = fields.map((field) => `"${this.#path}${field}"`).join(" or ");
    throw checkpointError(this.name, `the field ${names} is missing`, {
      fields: Object.keys(this.#fields),
    });
  }
}
