import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import { ReferenceDecoder } from "../../src/model/reference.ts";
import type { Tokenizer } from "../../src/model/tokenizer/tokenizer.ts";
import { sentence } from "../../src/base/check.ts";
import type { QualityOptions } from "./options.ts";
import type { AttentionMaps } from "./report/attention_figure.ts";

/** Maps of more tokens cannot be read. */
const MAP_TOKENS = 24;
const USUAL_HEADS = 8;

/** The layer and those of its heads that are shown. */
export interface MapChoice {
  layer: number;
  heads: readonly number[];
}

/**
 * Fills in which maps to draw.
 *
 * @throws {RangeError} If the model has no such layer or head.
 */
export function chooseMaps(
  { layers, numHeads }: Checkpoint["spec"],
  { layer = Math.floor(layers.length / 2), heads }: Pick<QualityOptions, "layer" | "heads">,
): MapChoice {
  const check = (name: string, index: number, count: number) => {
    if (index < count) return;
    throw new RangeError(
      sentence("measure quality", `--${name} must be of the model, counted from 0`, {
        ...{ [name]: index, count },
      }),
    );
  };
  check("layer", layer, layers.length);
  for (const head of heads ?? []) check("heads", head, numHeads);
  const usual = Array.from({ length: Math.min(USUAL_HEADS, numHeads) }, (_, head) => head);
  return { layer, heads: heads ?? usual };
}

/** The attention weights of heads at the beginning of a text, in float64. */
export async function attentionMaps(
  { spec, weights }: Checkpoint,
  { tokens, tokenizer, layer, heads }: MapChoice & {
    tokens: readonly number[];
    tokenizer: Pick<Tokenizer, "decode">;
  },
): Promise<AttentionMaps> {
  const shown = tokens.slice(0, MAP_TOKENS);
  const decoder = await ReferenceDecoder.create(spec, weights);
  const { attention } = decoder.forward(shown, { attentionOf: layer });
  const { numHeads, numKvHeads } = spec;
  return {
    ...{ layer, heads, numHeads, numKvHeads, weights: attention! },
    tokens: shown.map((token) => labelOf(tokenizer.decode([token])) || `#${token}`),
  };
}

/** A token's text such that its space can be seen; nothing for BOS and its kind. */
function labelOf(text: string): string {
  return text.replace(/\s/g, (space) => space === " " ? "\u00b7" : "\u21b5");
}
