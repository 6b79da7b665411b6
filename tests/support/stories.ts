// The trained model of the shared data: stories260K. Tests of it are skipped, and say so, where it is absent.
import { fileURLToPath } from "node:url";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoints/mod.ts";
import { weightShapes } from "../../src/model/weight_shapes.ts";
import type { WeightData } from "../../src/model/weights.ts";
import { memoryWeights } from "./models.ts";

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

/** The model, read whole. */
export async function openStories(): Promise<Omit<Checkpoint, "close">> {
  const { spec, weights, endOfText, close } = await openCheckpoint(STORIES.model);
  const read = new Map<string, WeightData>();
  for (const { name } of weightShapes(spec)) {
    if (weights.has(name)) read.set(name, await weights.read(name));
  }
  await close();
  return { spec, weights: memoryWeights(read), endOfText };
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(name, FOLDER));
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
