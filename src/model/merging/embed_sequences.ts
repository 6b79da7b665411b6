import type { DecoderSource } from "../decoder_source.ts";
import { readWeight } from "../read_weight.ts";
import { componentShapes } from "../weight_shapes.ts";

/** The residual stream before the first layer [sequences, seqLen, dim]. */
export async function embedSequences(
  action: string,
  { spec, weights }: DecoderSource,
  sequences: readonly (readonly number[])[],
): Promise<Float32Array<ArrayBuffer>> {
  const { dim, embeddingScale = 1 } = spec;
  const shapes = componentShapes(spec);
  const read = async (component: "embedding" | "positions") => {
    const weight = { name: `${component}.weight`, shape: shapes[component] };
    return (await readWeight(action, weights, weight)).data;
  };
  const embedding = await read("embedding");
  const positions = weights.has("positions.weight") ? await read("positions") : undefined;
  const seqLen = sequences[0].length;
  const stream = new Float32Array(sequences.length * seqLen * dim);
  sequences.flat().forEach((token, row) => {
    const position = row % seqLen;
    for (let i = 0; i < dim; i++) {
      stream[row * dim + i] = embeddingScale * embedding[token * dim + i] +
        (positions?.[position * dim + i] ?? 0);
    }
  });
  return stream;
}
