import type { RopeOptions } from "../cache/rope.ts";
import { checkpointError } from "./checkpoint_error.ts";
import type { DecoderSpec } from "../model/spec.ts";
import type { HfConfig } from "./config.ts";

/** The kinds of layers that may have rotary positions of their own, by what `config.json` calls them. */
const LAYER_TYPES = ["full_attention", "sliding_attention"] as const;

type LayerType = typeof LAYER_TYPES[number];

/** The sections of rotary positions: the first has been their name since 2025, the second was it before. */
const SECTIONS = ["rope_parameters", "rope_scaling"] as const;

/** The place of the rotary positions of one kind of layer. */
interface RopeKind {
  /** The field with their base, where the section has none. */
  baseField: string;
  /** Whether sections that name no kind of layer are meant for this one. */
  takesUnnamed: boolean;
}

/** The effect of a scaling on frequencies. */
interface Scaling {
  /** The new frequency of a pair, by the old one and the number of the pair. */
  scale: (frequency: number, pair: number) => number;
  attentionFactor?: number;
  /** Tokens from which on the frequencies would have to be others. */
  endsAt?: number;
}

/** Rotary positions, and the context for which they hold where that is less than the model's own. */
export interface ReadRope {
  rope: RopeOptions;
  endsAt?: number;
}

/** The values that scalings need besides their section. */
interface ScaledRope {
  base: number;
  headDim: number;
  /** The file's fields, for those that stand beside the section. */
  config: HfConfig;
}

/** Fields of every section; the last is a mark of some converters that means nothing. */
const COMMON_FIELDS = ["rope_type", "type", "rope_theta", "partial_rotary_factor", "finetuned"];

/** The scalings of frequencies by the type that a section names, with the fields that it then may have. */
const SCALINGS: Readonly<
  Record<
    string,
    { fields: readonly string[]; read?: (section: Section, of: ScaledRope) => Scaling }
  >
> = {
  default: { fields: ["original_max_position_embeddings"] },
  linear: { fields: ["factor", "original_max_position_embeddings"], read: linearScaling },
  dynamic: { fields: ["factor", "original_max_position_embeddings"], read: dynamicScaling },
  llama3: {
    fields: [
      ...["factor", "low_freq_factor", "high_freq_factor"],
      "original_max_position_embeddings",
    ],
    read: llama3Scaling,
  },
  yarn: {
    fields: [
      ...["factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"],
      ...["truncate", "original_max_position_embeddings"],
    ],
    read: yarnScaling,
  },
  longrope: {
    fields: [
      ...["factor", "attention_factor", "short_factor", "long_factor"],
      "original_max_position_embeddings",
    ],
    read: longRopeScaling,
  },
};

/** The types by their names, today's and first ones. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.keys(SCALINGS).map((type) => [type, type])),
  su: "longrope",
};

/**
 * Reads rotary positions that are alike in all layers.
 *
 * @param layerType The kind of layer that they all are.
 * @throws {CheckpointError} If something is not understood, or two places disagree; nothing is left out silently.
 */
export function readRope(config: HfConfig, headDim: number, layerType: LayerType): ReadRope {
  const kind = { baseField: "rope_theta", takesUnnamed: true };
  return readKind(config, headDim, { type: layerType, kind, types: [layerType] });
}

/**
 * Reads rotary positions by kind of layer: those of the section for the kind, or else of one that names no kind. A base in
 * the section wins over one beside it, and the class's default comes last, as in transformers' `RotaryEmbeddingConfigMixin`.
 *
 * @throws {CheckpointError} If something is not understood, or two places disagree; nothing is left out silently.
 */
export function readRopes<Type extends LayerType>(
  config: HfConfig,
  headDim: number,
  kinds: Readonly<Record<Type, RopeKind>>,
): Record<Type, ReadRope> {
  const types = Object.keys(kinds) as Type[];
  return Object.fromEntries(
    types.map((type) => [type, readKind(config, headDim, { type, kind: kinds[type], types })]),
  ) as Record<Type, ReadRope>;
}

/** The context for which rotary positions hold: it may end before the model's own, or with it. */
export function contextOf(
  config: HfConfig,
  ropes: readonly ReadRope[] = [],
): Pick<DecoderSpec, "contextLen" | "positionsEnd"> {
  const contextLen = contextLenOf(config);
  const ends = ropes.flatMap(({ endsAt }) => endsAt ?? []);
  if (ends.length === 0) return { contextLen };
  return { contextLen: Math.min(contextLen, ...ends), positionsEnd: true };
}

/** Throws where the file scales rotary positions of a model that has none. */
export function refuseRope(config: HfConfig): void {
  for (const name of SECTIONS) {
    const section = config.section(name)?.withRules({ defaults: { rope_type: "default" } });
    section?.allowOnly("type", "default");
    section?.allowOnly("rope_type", "default");
  }
}

/** The fields of one kind of layer, from one section or from both. */
class Section {
  readonly #sources: readonly HfConfig[];
  /** The type of scaling. */
  readonly type: string;

  constructor(sources: readonly HfConfig[]) {
    this.#sources = sources;
    this.type = this.#readType();
    for (const field of new Set(sources.flatMap(({ fields }) => fields))) {
      this.#checkAgreement(field);
    }
  }

  /** The source that has the field. */
  of(field: string): HfConfig | undefined {
    return this.#sources.find((source) => source.has(field));
  }

  /** A number above 0, where the field is there. */
  positive(field: string): number | undefined {
    return this.of(field)?.positive(field);
  }

  /** A number above 0, which must be there. */
  required(field: string): number {
    return (this.of(field) ?? this.#sources[0]).positive(field);
  }

  /** The error that a field of this section is not as it must be. */
  error(field: string, rule: string): Error {
    return (this.of(field) ?? this.#sources[0]).error(field, rule);
  }

  /** Throws where there is a field that means nothing for the type. */
  allowFields(fields: readonly string[]): void {
    for (const source of this.#sources) {
      const other = source.fields.find((field) => !fields.includes(field));
      if (other === undefined) continue;
      throw source.error(
        other,
        `has no meaning where rope_type is "${this.type}": name the type that it belongs to, or leave it out`,
      );
    }
  }

  /** The type under either name, "default" where none is given; one that scales wins over "default". */
  #readType(): string {
    const types = this.#sources.flatMap((source) =>
      ["rope_type", "type"].filter((field) => source.has(field))
        .map((field) => ({ source, field, type: source.choice(field, TYPE_NAMES) }))
    );
    const [first, ...others] = types.filter(({ type }) => type !== "default");
    const other = others.find(({ type }) => type !== first.type);
    if (other) {
      throw other.source.error(other.field, `must agree with the other type, ${first.type}`);
    }
    return first?.type ?? "default";
  }

  #checkAgreement(field: string): void {
    if (field === "rope_type" || field === "type") return;
    const [first, second] = this.#sources.filter((source) => source.has(field));
    if (!second || `${first.value(field)}` === `${second.value(field)}`) return;
    throw second.error(field, `must agree with the other section, which has ${first.value(field)}`);
  }
}

/** The rotary positions of one kind of layer, among the kinds that the model has. */
function readKind(
  config: HfConfig,
  headDim: number,
  { type, kind: { baseField, takesUnnamed }, types }: {
    type: LayerType;
    kind: RopeKind;
    types: readonly LayerType[];
  },
): ReadRope {
  config.allowOnly("partial_rotary_factor", 1);
  if (headDim % 2 !== 0) {
    throw checkpointError(config.name, "heads must have an even size to be rotated", { headDim });
  }
  const section = readSection(config, type, { takesUnnamed, types });
  const base = section.positive("rope_theta") ?? config.positive(baseField);
  return ropeOf(section, { base, headDim, config });
}

/** The fields of a kind of layer, from both sections of a file. */
function readSection(
  config: HfConfig,
  type: LayerType,
  { takesUnnamed, types }: { takesUnnamed: boolean; types: readonly LayerType[] },
): Section {
  const sources = SECTIONS.flatMap((name) => {
    const section = config.section(name);
    if (!section) return [];
    const named = section.fields.filter((field) => isNamed(section, field));
    if (named.length === 0) return takesUnnamed ? [section] : [];
    checkNames(section, { named, types });
    return section.section(type) ?? [];
  });
  return new Section(sources);
}

/** Whether a field is the section of a kind of layer, known or not. */
function isNamed(section: HfConfig, field: string): boolean {
  const value = section.value(field);
  return typeof value === "object" && !Array.isArray(value);
}

/** A section has the fields of all layers, or sections for the kinds of layers that the model has; a model of one kind has its. */
function checkNames(
  section: HfConfig,
  { named, types }: { named: readonly string[]; types: readonly string[] },
): void {
  const unknown = named.find((field) => !types.includes(field));
  if (unknown !== undefined) {
    throw section.error(unknown, `is no kind of layer of this model: it has ${types.join(", ")}`);
  }
  const beside = section.fields.find((field) => !named.includes(field));
  if (beside !== undefined) {
    throw section.error(beside, `must be within the sections for kinds of layers (${named})`);
  }
}

/** The frequencies of a section. */
function ropeOf(section: Section, scaled: ScaledRope): ReadRope {
  const { base, headDim } = scaled;
  const { fields, read } = SCALINGS[section.type];
  section.allowFields([...COMMON_FIELDS, ...fields]);
  section.of("partial_rotary_factor")?.allowOnly("partial_rotary_factor", 1);
  if (!read) return { rope: { style: "halves", base } };
  const { scale, attentionFactor, endsAt } = read(section, scaled);
  const frequencies = Array.from(
    { length: headDim / 2 },
    (_, pair) => scale(base ** (-2 * pair / headDim), pair),
  );
  const rope: RopeOptions = { style: "halves", frequencies };
  return { rope: attentionFactor === undefined ? rope : { ...rope, attentionFactor }, endsAt };
}

/** Positions are divided (Chen et al. 2023, arXiv 2306.15595). */
function linearScaling(section: Section): Scaling {
  const factor = section.required("factor");
  return { scale: (frequency) => frequency / factor };
}

/** Frequencies stay as they are within the context of training, and would have to follow the length beyond it. */
function dynamicScaling(section: Section, { config }: ScaledRope): Scaling {
  section.required("factor");
  return { scale: (frequency) => frequency, endsAt: contextLenOf(config) };
}

/**
 * Waves that are long beside the context of training are divided, short ones are left, and between them lies a smooth path
 * (Grattafiori et al. 2024, Llama 3, arXiv 2407.21783).
 */
function llama3Scaling(section: Section, rope: ScaledRope): Scaling {
  const factor = section.required("factor");
  const low = section.required("low_freq_factor");
  const high = section.required("high_freq_factor");
  const trainedLen = trainedLenOf(section, rope);
  if (high <= low) throw section.error("high_freq_factor", `must be above low_freq_factor=${low}`);
  return {
    scale: (frequency) => {
      const waves = trainedLen * frequency / (2 * Math.PI);
      const share = Math.min(1, Math.max(0, (waves - low) / (high - low)));
      return share * frequency + (1 - share) * frequency / factor;
    },
  };
}

/** A path from pairs that turn often, which are left, to those that turn seldom, which are divided (YaRN: arXiv 2309.00071). */
function yarnScaling(section: Section, rope: ScaledRope): Scaling {
  const { base, headDim } = rope;
  const trainedLen = trainedLenOf(section, rope);
  const factor = factorOf(section, rope);
  const fast = section.positive("beta_fast") ?? 32;
  const slow = section.positive("beta_slow") ?? 1;
  // The pair, as a fraction, that turns so often within the context of training.
  const pairOf = (turns: number) =>
    headDim * Math.log(trainedLen / (turns * 2 * Math.PI)) / (2 * Math.log(base));
  const truncates = section.of("truncate")?.flag("truncate") ?? true;
  const [low, high] = truncates
    ? [Math.floor(pairOf(fast)), Math.ceil(pairOf(slow))]
    : [pairOf(fast), pairOf(slow)];
  const first = Math.max(low, 0);
  const last = Math.min(high, headDim - 1);
  const length = first === last ? 0.001 : last - first;
  const strength = (magnitude = 1) => factor <= 1 ? 1 : 0.1 * magnitude * Math.log(factor) + 1;
  const own = section.positive("mscale");
  const all = section.positive("mscale_all_dim");
  return {
    scale: (frequency, pair) => {
      const share = Math.min(1, Math.max(0, (pair - first) / length));
      return share * frequency / factor + (1 - share) * frequency;
    },
    attentionFactor: section.positive("attention_factor") ??
      (own && all ? strength(own) / strength(all) : strength()),
  };
}

/**
 * Each frequency is divided by a number of its own; those for contexts longer than that of training are others (Ding et al.
 * 2024, arXiv 2402.13753). One table cannot be both, so that the context ends where the second begins.
 */
function longRopeScaling(section: Section, rope: ScaledRope): Scaling {
  const { headDim, config } = rope;
  const contextLen = contextLenOf(config);
  const trainedLen = trainedLenOf(section, rope);
  const factor = factorOf(section, rope);
  const [short] = ["short_factor", "long_factor"].map((field) => {
    const source = section.of(field);
    if (!source) throw section.error(field, "is missing");
    return source.positives(field, headDim / 2);
  });
  return {
    scale: (frequency, pair) => frequency / short[pair],
    attentionFactor: section.positive("attention_factor") ??
      (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(trainedLen))),
    endsAt: Math.min(trainedLen, contextLen),
  };
}

/** The ratio of the context to that of training: as the file says, or by both lengths. */
function factorOf(section: Section, { config }: ScaledRope): number {
  const trainedLen = findTrainedLen(section, config);
  const isGiven = section.of("factor") !== undefined || trainedLen === undefined;
  return isGiven ? section.required("factor") : contextLenOf(config) / trainedLen;
}

/** Tokens of training before positions were scaled: within the section, or beside it, or the model's own. */
function trainedLenOf(section: Section, { config }: ScaledRope): number {
  return findTrainedLen(section, config) ?? contextLenOf(config);
}

function findTrainedLen(section: Section, config: HfConfig): number | undefined {
  const field = "original_max_position_embeddings";
  return section.of(field)?.count(field) ?? config.findCount(field);
}

/** Tokens that the model was made for. */
function contextLenOf(config: HfConfig): number {
  return config.count("max_position_embeddings");
}
