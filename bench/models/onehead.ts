/** Our own library as one of the systems: a decoder for one sequence, a batch for several. */
import { Gpu } from "../../mod.ts";
import type { DecoderSource } from "../../src/model/decoder_source.ts";
import { Batch, Decoder } from "../../src/model/mod.ts";
import type { ModelSystem, PreparedModel, Sequences } from "./system.ts";

export const onehead: ModelSystem = {
  name: "Onehead",
  async load() {
    const gpu = await Gpu.open();
    return (source, sequences) =>
      sequences.sequences === 1
        ? prepareDecoder(gpu, source, sequences)
        : prepareBatch(gpu, source, sequences);
  },
};

async function prepareDecoder(
  gpu: Gpu,
  { spec, weights }: DecoderSource,
  { maxTokens }: Sequences,
): Promise<PreparedModel> {
  const decoder = await Decoder.create(gpu, spec, weights, { maxTokens });
  return {
    cacheBytes: decoder.cacheBytes,
    async generate([prompt], tokens) {
      decoder.clear();
      await decoder.feed(prompt);
      return [(await Array.fromAsync(decoder.generate({ tokens, batch: tokens }))).flat()];
    },
  };
}

async function prepareBatch(
  gpu: Gpu,
  { spec, weights }: DecoderSource,
  { sequences, maxTokens }: Sequences,
): Promise<PreparedModel> {
  const batch = await Batch.create(gpu, spec, weights, { maxTokens, maxSequences: sequences });
  return {
    cacheBytes: batch.cacheBytes,
    generate: (prompts, tokens) =>
      Promise.all(prompts.map(async (prompt) => {
        const sequence = batch.add({ tokens: prompt, maxTokens: tokens });
        return (await Array.fromAsync(sequence)).flat().map(({ token }) => token);
      })),
  };
}
