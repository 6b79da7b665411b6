/** The models that systems run beside each other: shapes of published ones with random weights, and files. */
import { PUBLISHED } from "../../cli/shared/presets.ts";
import type { JsonObject } from "../../src/base/json.ts";
import { openCheckpoint, parseDecoderConfig } from "../../src/checkpoints/mod.ts";
import { type DecoderSource, type DecoderSpec, randomWeights } from "../../src/model/mod.ts";

/** The model of a run, as JSON: another process makes the same of it. */
export type ModelChoice =
  | { name: ShapeName; layers: number; vocabulary: number }
  /** Weights from a file or a folder. */
  | { file: string };

/** A published shape. */
interface Shape {
  config: JsonObject;
  /** What its configuration calls the numbers that are cut. */
  fields: Record<"layers" | "vocabulary" | "context", string>;
  /** The weights that it has beside those of every model. */
  has: readonly string[];
}

/** Tokens that any of the cut models was made for. */
const CONTEXT = 4096;
/** Without a classifier of its own a model of random weights answers a token by itself, whatever its layers compute. */
const CLASSIFIER = "classifier.weight";

const SHAPES = {
  "Gemma-3-270M": {
    config: PUBLISHED.find(({ name }) => name === "Gemma-3-270M")!.config,
    fields: {
      ...{ layers: "num_hidden_layers", vocabulary: "vocab_size" },
      context: "max_position_embeddings",
    },
    has: ["qNorm.weight", "kNorm.weight", "postAttentionNorm.weight", "postMlpNorm.weight"],
  },
  // huggingface.co/bigcode/starcoderbase-1b
  "StarCoder-1B": {
    config: {
      ...{ model_type: "gpt_bigcode", n_embd: 2048, n_head: 16, n_layer: 24, n_inner: 8192 },
      ...{ n_positions: 8192, multi_query: true, vocab_size: 49152 },
    },
    fields: { layers: "n_layer", vocabulary: "vocab_size", context: "n_positions" },
    has: ["positions.weight", "bias"],
  },
} satisfies Record<string, Shape>;

/** The name of a published shape. */
export type ShapeName = keyof typeof SHAPES;

/** The names of the published shapes. */
export const SHAPE_NAMES = Object.keys(SHAPES) as ShapeName[];

/** The name of a model in a table, and how it was cut. */
export function titleOf(choice: ModelChoice): string {
  if ("file" in choice) return choice.file.replace(/^.*[/\\](?=.)/, "");
  const { name, layers, vocabulary } = choice;
  return `${name} cut to ${layers} layers, ${vocabulary} tokens`;
}

/** The shape of a model that is cut. */
function cutSpec({ config, fields }: Shape, layers: number, vocabulary: number): DecoderSpec {
  const cut = {
    ...config,
    ...{ [fields.layers]: layers, [fields.vocabulary]: vocabulary, [fields.context]: CONTEXT },
  };
  return parseDecoderConfig(JSON.stringify(cut), "a model of the bench");
}

/** A model that is there while it is used: its files are open until then. */
export async function withModel<Result>(
  choice: ModelChoice,
  use: (source: DecoderSource) => Promise<Result>,
): Promise<Result> {
  if ("file" in choice) {
    const checkpoint = await openCheckpoint(choice.file);
    try {
      return await use(checkpoint);
    } finally {
      await checkpoint.close();
    }
  }
  const shape: Shape = SHAPES[choice.name];
  const spec = cutSpec(shape, choice.layers, choice.vocabulary);
  const has = (name: string) =>
    name === CLASSIFIER || shape.has.some((ending) => name.endsWith(ending));
  return await use({ spec, weights: randomWeights(spec, { has }) });
}
