/** Random weights of an attention layer. */
import type { HostTensor, Projection } from "../../mod.ts";
import type { Random } from "./random.ts";

/** Sizes of a layer. */
export interface LayerShape {
  dim: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
}

/** A matrix of the variance that leaves outputs as large as inputs. */
export function matrix(
  random: Random,
  rows: number,
  columns: number,
): HostTensor & { data: Float32Array } {
  const { data, shape } = random.tensor([rows, columns]);
  return { data: data.map((value) => value * Math.sqrt(3 / columns)), shape };
}

function projection(random: Random, rows: number, columns: number, hasBias: boolean): Projection {
  const weight = matrix(random, rows, columns);
  return hasBias ? { weight, bias: random.tensor([rows]) } : { weight };
}

/** Projections, with those of the biases that are named. */
export function weightsOf(
  random: Random,
  { dim, numHeads, numKvHeads, headDim }: LayerShape,
  biases = "qkvo",
) {
  const make = (name: string, rows: number, columns: number) =>
    projection(random, rows, columns, biases.includes(name));
  return {
    q: make("q", numHeads * headDim, dim),
    k: make("k", numKvHeads * headDim, dim),
    v: make("v", numKvHeads * headDim, dim),
    o: make("o", dim, numHeads * headDim),
  };
}
