// The trained model of the shared data: stories260K. Tests of it are skipped, and say so, where it is absent.
import type { DecoderSpec } from "../../decoder/spec.ts";
import type { DecoderWeights, WeightData } from "../../decoder/weights.ts";
import { memoryWeights } from "./_models.ts";

const FOLDER = new URL("../../../shared/data/stories260K/", import.meta.url);

/** Paths of its files. */
export const STORIES = {
  model: pathOf("stories260K.bin"),
  tokenizer: pathOf("tok512.bin"),
  greedy: pathOf("greedy.json"),
  attention: pathOf("attention.safetensors"),
};

/** Whether its files are there; says so once a file if not. */
export const hasStories = isThere();

/** A test of the trained model. */
export function testStories(name: string, test: () => void | Promise<void>): void {
  Deno.test(name, { ignore: !hasStories }, test);
}

/** The first tokens of the greedy continuation of BOS, BOS included. */
export function greedyTokens(): number[] {
  return JSON.parse(Deno.readTextFileSync(STORIES.greedy));
}

/** The model. */
export function openStories(): { spec: DecoderSpec; weights: DecoderWeights } {
  const bytes = Deno.readFileSync(STORIES.model);
  const header = new Int32Array(bytes.buffer, 0, 7);
  const [dim, hiddenDim, numLayers, numHeads, numKvHeads, vocabSize, contextLen] = header;
  const headDim = dim / numHeads;
  const kvDim = numKvHeads * headDim;
  const weights = new Map<string, WeightData>();
  let offset = header.byteLength;
  const take = (name: string, ...shape: number[]) => {
    const data = new Float32Array(bytes.buffer, offset, shape.reduce((a, b) => a * b));
    offset += data.byteLength;
    weights.set(name, { data, shape });
  };
  const takeEach = (name: string, ...shape: number[]) => {
    for (let layer = 0; layer < numLayers; layer++) {
      take(`layers.${layer}.${name}.weight`, ...shape);
    }
  };
  take("embedding.weight", vocabSize, dim);
  takeEach("attentionNorm", dim);
  takeEach("q", dim, dim);
  takeEach("k", kvDim, dim);
  takeEach("v", kvDim, dim);
  takeEach("o", dim, dim);
  takeEach("mlpNorm", dim);
  takeEach("gate", hiddenDim, dim);
  takeEach("down", dim, hiddenDim);
  takeEach("up", hiddenDim, dim);
  take("finalNorm.weight", dim);
  const spec: DecoderSpec = {
    ...{ dim, hiddenDim, numHeads, numKvHeads, headDim, vocabSize, contextLen },
    layers: Array.from({ length: numLayers }, () => ({ rope: { style: "pairs" } })),
    norm: { kind: "rms", eps: 1e-5 },
    activation: "silu",
    isGated: true,
    isParallel: false,
  };
  return { spec, weights: memoryWeights(weights) };
}

function pathOf(name: string): string {
  return new URL(name, FOLDER).pathname;
}

function isThere(): boolean {
  try {
    Deno.statSync(FOLDER);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log(`stories260K is not tested: ${FOLDER.pathname} is absent`);
    return false;
  }
}
