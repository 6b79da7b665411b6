import type { Gpu } from "../../mod.ts";
import {
  type Checkpoint,
  type LayerMergeReport,
  withMergedKvHeads,
  withPooledKvHeads,
} from "../../src/checkpoints/mod.ts";
import type { PoolMethod } from "./model_options.ts";
import type { Out } from "./run.ts";

/** The heads that a checkpoint is to have. */
export interface FewerKvHeads {
  kvHeads: number;
  method: PoolMethod;
  /** Texts of one length to merge by. */
  calibration: readonly (readonly number[])[];
}

/** A checkpoint with fewer KV heads by any of the methods; merging reports what each layer kept, and shows its progress. */
export async function withFewerKvHeads(
  gpu: Gpu,
  checkpoint: Checkpoint,
  { kvHeads, method, calibration }: FewerKvHeads,
  out: Pick<Out, "progress">,
): Promise<Checkpoint & { report?: readonly LayerMergeReport[] }> {
  if (method !== "merged") return withPooledKvHeads(checkpoint, { kvHeads, method });
  using progress = out.progress(checkpoint.spec.layers.length);
  return await withMergedKvHeads(gpu, checkpoint, {
    ...{ kvHeads, calibration },
    progress: () => progress.step(`layers merged into ${kvHeads} KV heads`),
  });
}
