import type { Gpu } from "../../mod.ts";
import { type Checkpoint, withPooledKvHeads } from "../../src/checkpoints/mod.ts";
import { withFewerKvHeads } from "../shared/fewer_kv_heads.ts";
import type { Out } from "../shared/run.ts";
import type { Texts } from "../shared/training/texts.ts";
import { measure, scoreOf, stageOf } from "./measure.ts";
import type { UptrainOptions } from "./options.ts";
import type { Stage } from "./result.ts";
import type { TrainingRun } from "./training_folder.ts";

/** Most tokens that heads are merged by: more tell about the same. */
const MOST_CALIBRATION = 32_768;

/** A converted model, and what is known of it. */
export interface Conversion {
  run: TrainingRun;
  converted: Checkpoint;
}

/** Gives a model fewer KV heads, and measures it before and after. */
export async function convert(
  gpu: Gpu,
  checkpoint: Checkpoint,
  texts: Texts,
  { kvHeads, init: method }: UptrainOptions,
  out: Out,
): Promise<Conversion> {
  const calibration = someOf(texts.learned);
  const { report, ...converted } = await withFewerKvHeads(
    gpu,
    checkpoint,
    { kvHeads, method, calibration },
    out,
  );
  const original = await scoreOf(gpu, checkpoint, texts, out);
  const scores = { texts, original: original.score };
  const stages: Stage[] = [
    { stage: "original", ...stageOf(checkpoint, original, scores) },
    { stage: method, ...await measure(gpu, converted, scores, out) },
  ];
  const run = { ...scores, stages, ...(report && { merge: report }), curve: [], seconds: 0 };
  return { run, converted };
}

/** Texts at equal distances, of as many tokens as heads are merged by at most. */
function someOf(texts: Texts["learned"]): Texts["learned"] {
  const stride = Math.ceil(texts.flat().length / MOST_CALIBRATION);
  return texts.filter((_, i) => i % stride === 0);
}

/** A checkpoint with this number of heads, whose weights stand in for those of a saved state. */
export function withShapes(original: Checkpoint, { kvHeads }: UptrainOptions): Checkpoint {
  return withPooledKvHeads(original, { kvHeads, method: "first" });
}
