import type { Fields } from "./fields.ts";
import { patternFault } from "./pattern_fault.ts";

/** Most steps of one kind. The longest of known tokenizers have ten. */
const MOST_STEPS = 100;
/** Most characters that all steps together may make of one. Those of known tokenizers make three. */
const MOST_GROWTH = 64;

/** Where the steps of a sequence stand. */
const SEQUENCES = {
  normalizer: "normalizers",
  pre_tokenizer: "pretokenizers",
  decoder: "decoders",
  post_processor: "processors",
} as const;

/** A step, whose `type` says what it does. */
export interface Step {
  type: string;
  fields: Fields;
}

/**
 * The steps of one kind, those of sequences one after the other.
 *
 * @throws {CheckpointError} If they are no steps, too many, or one of them would never end.
 */
export function readSteps(file: Fields, kind: keyof typeof SEQUENCES): Step[] {
  const whole = file.section(kind);
  const steps = whole ? flattened(whole, SEQUENCES[kind]) : [];
  if (steps.length > MOST_STEPS) {
    throw file.error(`"${kind}" must have at most ${MOST_STEPS} steps`, { steps: steps.length });
  }
  const growth = steps.reduce((growth, step) => growth * growthOf(step), 1);
  if (growth > MOST_GROWTH) {
    throw file.error(`"${kind}" must not make texts more than ${MOST_GROWTH} times as long`, {
      growth,
    });
  }
  return steps;
}

function flattened(fields: Fields, sequence: string): Step[] {
  const type = fields.required("type", fields.text("type"));
  if (type !== "Sequence") return [{ type, fields }];
  const items = fields.required(sequence, fields.list(sequence));
  return items.flatMap((item, i) => flattened(fields.within(`${sequence}.${i}`, item), sequence));
}

/** Checks what a step does with texts, and says how much longer it may make them. */
function growthOf({ type, fields }: Step): number {
  switch (type) {
    case "Prepend":
      return 1 + fields.required("prepend", fields.text("prepend")).length;
    case "FixedLength":
      fields.required("length", fields.count("length", [1, 2 ** 31]));
      return 1;
    case "Split":
    case "Replace": {
      const growth = Math.max(1, (fields.text("content") ?? "").length);
      // A pattern may match between any two characters.
      return checkPatternOf(fields) === "Regex" ? 1 + growth : growth;
    }
    case "Metaspace": {
      const marks = ["replacement", "str_rep"].map((field) => (fields.text(field) ?? "").length);
      return 1 + Math.max(...marks);
    }
    case "ByteLevel":
      // Bytes are written as characters, of which each has up to three bytes.
      return 3;
    case "BertNormalizer":
      // Chinese characters get spaces on both sides.
      return 3;
    default:
      return 1;
  }
}

function checkPatternOf(step: Fields): "String" | "Regex" {
  const pattern = step.required("pattern", step.section("pattern"));
  const regex = pattern.text("Regex");
  if (regex === undefined) {
    if (pattern.text("String")) return "String";
    throw pattern.error("it must have a text to look for, as String or as Regex", pattern.values);
  }
  const fault = patternFault(regex);
  if (fault === undefined) return "Regex";
  throw pattern.error(`${fault}, so that some texts would take for ever (trust no such file)`, {
    Regex: regex,
  });
}
