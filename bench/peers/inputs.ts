/** The bench's random inputs on the host: the same that its own subjects have on the GPU. */
import { randomElements } from "../random.ts";
import { SEEDS } from "../subject.ts";
import type { Asked, Inputs } from "./peer.ts";

export function inputsOf(asked: Asked): Inputs {
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype } = asked;
  const elements = (name: "q" | "k" | "v" | "bias", count: number) =>
    new Float32Array(randomElements(0, count, { dtype, seed: SEEDS[name] }));
  const kvCount = batch * numKvHeads * contextLen * headDim;
  return {
    q: elements("q", batch * seqLen * numHeads * headDim),
    k: elements("k", kvCount),
    v: elements("v", kvCount),
    ...(asked.hasBias && { bias: elements("bias", numHeads * seqLen * contextLen) }),
  };
}
