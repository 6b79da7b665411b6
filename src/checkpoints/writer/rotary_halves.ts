import { fillInRope } from "../../cache/rope_kernel.ts";
import { rotaryPairs } from "../../cache/rotary_pairs.ts";
import type { DecoderSource } from "../../model/decoder_source.ts";
import type { DecoderSpec } from "../../model/spec.ts";
import type { WeightData } from "../../model/weights.ts";

/** Weights whose rows are elements of queries and keys. */
const ROTATED = /^layers\.(\d+)\.(q|k|qNorm|kNorm)\.(weight|bias)$/;

/**
 * The same decoder with rotary positions of halves, as Hugging Face's families have them: of layers that rotate neighbours
 * (llama2.c, Meta's own files), the rows of queries and keys come in another order.
 */
export function withRotaryHalves({ spec, weights }: DecoderSource): DecoderSource {
  const read = async (name: string): Promise<WeightData> => {
    const weight = await weights.read(name);
    const [, layer] = name.match(ROTATED) ?? [];
    return layer === undefined ? weight : inHalves(weight, spec, Number(layer));
  };
  const layers = spec.layers.map((layer) =>
    layer.rope?.style === "pairs"
      ? { ...layer, rope: { ...layer.rope, style: "halves" as const } }
      : layer
  );
  return { spec: { ...spec, layers }, weights: { has: (name) => weights.has(name), read } };
}

/** The rows of each head in the order of halves. */
function inHalves(
  { data, shape }: WeightData,
  { headDim, layers }: DecoderSpec,
  layer: number,
): WeightData {
  const { rope } = layers[layer];
  if (rope?.style !== "pairs") return { data, shape };
  const filled = fillInRope("write a checkpoint", rope, headDim);
  const sources = Array.from({ length: headDim }, (_, i) => i);
  const before = rotaryPairs(filled);
  rotaryPairs({ ...filled, style: "halves" }).forEach((pair, i) =>
    pair.forEach((element, j) => sources[element] = before[i][j])
  );
  const width = data.length / shape[0];
  const ordered = new Float32Array(data.length);
  for (let row = 0; row < shape[0]; row++) {
    const source = row - row % headDim + sources[row % headDim];
    ordered.set(data.subarray(source * width, (source + 1) * width), row * width);
  }
  return { data: ordered, shape };
}
