import type { DecoderSource } from "../decoder_source.ts";

/** The residual stream before the first layer [sequences, seqLen, dim]. */
export async function embedSequences(
  { spec, weights }: DecoderSource,
  sequences: readonly (readonly number[])[],
): Promise<Float32Array<ArrayBuffer>> {
  const { dim, embeddingScale = 1 } = spec;
  const { data: embedding } = await weights.read("embedding.weight");
  const positions = weights.has("positions.weight")
    ? (await weights.read("positions.weight")).data
    : undefined;
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
