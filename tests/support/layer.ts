/** Random weights of an attention layer. */
import type { HostTensor, MaskMod, Projection, ScoreMod } from "../../mod.ts";
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

/** ALiBi by slopes in a tensor [numHeads], and a window as wide as a tensor says, as functions of one's own. */
export function alibiAndWindow(numHeads: number): { scoreMod: ScoreMod; maskMod: MaskMod } {
  return {
    scoreMod: {
      name: "alibi",
      wgsl: `fn alibi(score: f32, at: ScoreAt) -> f32 {
        return score - slopes[at.head] * f32(at.query - at.key);
      }`,
      tensors: { slopes: { shape: [numHeads] } },
    },
    maskMod: {
      name: "isNear",
      wgsl: `fn isNear(at: ScoreAt) -> bool {
        return at.query - at.key < i32(reach[0]);
      }`,
      tensors: { reach: { shape: [1] } },
    },
  };
}
