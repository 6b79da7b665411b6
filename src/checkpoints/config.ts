import type { CheckpointError } from "../base/errors.ts";
import { isJsonObject, type JsonObject, parseJsonObject } from "../base/json.ts";
import { checkpointError } from "./checkpoint_error.ts";

/** Most of what a decoder has one object for: layers, heads, pairs of a head. More is a lie, and would take all memory. */
const MANY = 65_536;

/** The sections in which models that also see or hear keep their decoder. */
export const TEXT_SECTIONS = ["text_config", "llm_config", "language_config"];

/** Fields beside that section that are kept: of the whole model, or the decoder's too where it does not have its own. */
const SHARED_FIELDS = [
  ...["_name_or_path", "audio_config", "vision_config"],
  ...["quantization_config", "tie_word_embeddings"],
];

/** The model type of the decoder in a type of models that also see, where its section does not say. */
const INNER_TYPES: ReadonlyMap<unknown, string> = new Map([
  ...["llava", "llava_next", "llava_next_video", "video_llava", "vipllava"]
    .map((type) => [type, "llama"] as const),
  ...[["llava_onevision", "qwen2"], ["mistral3", "mistral"], ["paligemma", "gemma"]] as const,
]);

/** The rules by which a configuration class reads its fields. */
export interface FieldRules {
  /** The value of each field that a file may leave out. */
  defaults: JsonObject;
  /** Fields with a default in which null means "none". In all others it means the default. */
  nullable?: readonly string[];
  /** Other names of a field. */
  names?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The fields of a `config.json` as Hugging Face repositories carry it. Each is checked when it is asked for. Rules say what
 * absent fields and nulls mean; without rules, both are as if they were not there.
 */
export class HfConfig {
  /** Its name in messages. */
  readonly name: string;
  readonly #fields: JsonObject;
  readonly #rules: FieldRules;
  /** The names of the sections around its fields, each with a dot, for messages. */
  readonly #path: string;

  private constructor(
    name: string,
    fields: JsonObject,
    { rules = { defaults: {} }, path = "" }: { rules?: FieldRules; path?: string } = {},
  ) {
    this.name = name;
    this.#fields = fields;
    this.#rules = rules;
    this.#path = path;
  }

  /**
   * Parses a text. Of models that also see or hear, the fields are those of their decoder, which are one level down.
   *
   * @throws {CheckpointError} If the text is no JSON object, or the section of the decoder is none.
   */
  static parse(text: string, name: string): HfConfig {
    const outer = new HfConfig(name, parseJsonObject(text, name));
    const section = TEXT_SECTIONS.find((section) => outer.has(section));
    const inner = section === undefined ? outer : outer.section(section)!;
    const shared = SHARED_FIELDS.map((field) => [field, outer.value(field)]);
    const outerType = outer.value("model_type");
    const innerType = (inner === outer ? undefined : inner.value("model_type")) ??
      INNER_TYPES.get(outerType) ?? outerType;
    return new HfConfig(name, {
      ...Object.fromEntries(shared.filter(([field]) => outer.has(field as string))),
      ...inner.#fields,
      model_type: innerType,
    });
  }

  /** The same fields, read by these rules. */
  withRules(rules: FieldRules): HfConfig {
    return new HfConfig(this.name, this.#fields, { rules, path: this.#path });
  }

  /** The fields as the file has them. */
  toJson(): JsonObject {
    return { ...this.#fields };
  }

  /** The names of all fields that the file gives a value. */
  get fields(): string[] {
    return Object.keys(this.#fields).filter((field) => (this.#fields[field] ?? null) !== null);
  }

  /** Whether the field has a value, in the file or by default. */
  has(field: string): boolean {
    return this.value(field) !== undefined;
  }

  /** The field as it is; undefined if it is null, or absent and without a default. */
  value(field: string): unknown {
    const { defaults, nullable = [] } = this.#rules;
    const value = this.#fields[this.#nameOf(field)];
    if (value !== undefined && value !== null) return value;
    return value === null && nullable.includes(field) ? undefined : defaults[field] ?? undefined;
  }

  /** The field where it has a value, a whole number of at least 1. */
  findCount(field: string): number | undefined {
    const value = this.value(field);
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
    throw this.error(field, "must be a whole number of at least 1");
  }

  /** As {@linkcode HfConfig.findCount}, and it must have a value. */
  count(field: string): number {
    return this.findCount(field) ?? this.#missing(field);
  }

  /** As {@linkcode HfConfig.findCount}, of what there are not many of. */
  findFew(field: string): number | undefined {
    const count = this.findCount(field);
    if (count === undefined || count <= MANY) return count;
    throw this.error(field, `must be at most ${MANY}`);
  }

  /** As {@linkcode HfConfig.findFew}, and it must have a value. */
  few(field: string): number {
    return this.findFew(field) ?? this.#missing(field);
  }

  /** A whole number of at least 0. */
  index(field: string): number {
    return this.value(field) === 0 ? 0 : this.count(field);
  }

  /** A number above 0. */
  positive(field: string): number {
    const value = this.#required(field);
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw this.error(field, "must be a number above 0");
  }

  /** True or false. */
  flag(field: string): boolean {
    const value = this.#required(field);
    if (typeof value === "boolean") return value;
    throw this.error(field, "must be true or false");
  }

  /** One of the choices, by the field's text. */
  choice<Choice>(field: string, choices: Readonly<Record<string, Choice>>): Choice {
    const value = this.#required(field);
    if (typeof value === "string" && Object.hasOwn(choices, value)) return choices[value];
    throw this.error(field, `must be one of ${Object.keys(choices).join(", ")}`);
  }

  /** A list of `length` numbers above 0. */
  positives(field: string, length: number): number[] {
    const value = this.#required(field);
    const isPositive = (item: unknown) => typeof item === "number" && item > 0 && item < Infinity;
    if (Array.isArray(value) && value.length === length && value.every(isPositive)) return value;
    throw this.error(field, `must be ${length} numbers above 0`);
  }

  /** A list of the numbers of layers, the first being 0. */
  layerNumbers(field: string): number[] {
    const value = this.#required(field);
    const numLayers = this.few("num_hidden_layers");
    const isLayer = (n: unknown) =>
      Number.isSafeInteger(n) && Number(n) >= 0 && Number(n) < numLayers;
    if (Array.isArray(value) && value.every(isLayer)) return value;
    throw this.error(field, `must be a list of layers, from 0 to ${numLayers - 1}`);
  }

  /** The fields of an object; undefined if it is absent. */
  section(field: string): HfConfig | undefined {
    const value = this.value(field);
    if (value === undefined) return undefined;
    const path = `${this.#path}${this.#nameOf(field)}.`;
    if (isJsonObject(value)) return new HfConfig(this.name, value, { path });
    throw this.error(field, "must be an object");
  }

  /** Throws where a field has a value that is none of these: an option that the decoder lacks. */
  allowOnly(field: string, ...values: unknown[]): void {
    if (!this.has(field) || values.includes(this.value(field))) return;
    const rule = values.length > 0 ? `must be ${values.join(" or ")}` : "is not supported";
    throw this.error(field, rule);
  }

  /** The error that a field is not as it must be. */
  error(field: string, rule: string): CheckpointError {
    const name = `${this.#path}${this.#nameOf(field)}`;
    return checkpointError(this.name, `"${name}" ${rule}`, { [name]: this.value(field) });
  }

  /** The name under which the file has the field. A null gives way to a value under another name. */
  #nameOf(field: string): string {
    const names = [field, ...(this.#rules.names?.[field] ?? [])]
      .filter((name) => Object.hasOwn(this.#fields, name));
    const [name, ...others] = names.filter((name) => (this.#fields[name] ?? null) !== null);
    const other = others.find((other) => this.#fields[other] !== this.#fields[name]);
    if (other === undefined) return name ?? names[0] ?? field;
    throw checkpointError(this.name, `"${name}" and "${other}" are one field and must agree`, {
      [name]: this.#fields[name],
      [other]: this.#fields[other],
    });
  }

  #required(field: string): unknown {
    return this.value(field) ?? this.#missing(field);
  }

  #missing(field: string): never {
    const names = [field, ...(this.#rules.names?.[field] ?? [])]
      .map((name) => `"${this.#path}${name}"`).join(" or ");
    throw checkpointError(this.name, `the field ${names} is missing`, {
      fields: Object.keys(this.#fields),
    });
  }
}
