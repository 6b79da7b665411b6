import type { Gpu } from "../../mod.ts";
import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import { Decoder } from "../../src/model/decoder.ts";
import type { Out } from "../shared/run.ts";
import { compareScores, type Score, scoreTexts } from "../shared/score.ts";
import type { Texts } from "../shared/training/texts.ts";
import type { Stage } from "./result.ts";
import type { TrainingRun } from "./training_folder.ts";

/** The score of a model on the held-out texts, and the bytes of its KV cache for its context. */
interface Measured {
  score: Score;
  cacheBytes: number;
}

/** A stage of a model beside the original. */
export async function measure(
  gpu: Gpu,
  checkpoint: Checkpoint,
  run: Pick<TrainingRun, "texts" | "original">,
  out: Pick<Out, "progress">,
): Promise<Omit<Stage, "stage">> {
  return stageOf(checkpoint, await scoreOf(gpu, checkpoint, run.texts, out), run);
}

/** A stage by its measures, beside the original. */
export function stageOf(
  { spec: { numKvHeads } }: Checkpoint,
  { score, cacheBytes }: Measured,
  { original }: Pick<TrainingRun, "original">,
): Omit<Stage, "stage"> {
  return { numKvHeads, cacheBytes, ...compareScores(score, original) };
}

/** Predicts the held-out texts. */
export async function scoreOf(
  gpu: Gpu,
  { spec, weights }: Checkpoint,
  { heldOut }: Texts,
  out: Pick<Out, "progress">,
): Promise<Measured> {
  const decoder = await Decoder.create(gpu, spec, weights, { maxTokens: spec.contextLen });
  using progress = out.progress(heldOut.length);
  try {
    const score = await scoreTexts(
      decoder,
      heldOut,
      spec.vocabSize,
      () => progress.step(`held-out texts predicted with ${spec.numKvHeads} KV heads`),
    );
    return { score, cacheBytes: decoder.cacheBytes };
  } finally {
    decoder.destroy();
  }
}
