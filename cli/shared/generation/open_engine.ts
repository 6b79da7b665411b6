/** Engines of a model, each on a device of its own. */
import { Gpu, type KvCalibration, type KvDtype } from "../../../mod.ts";
import { once } from "../../../src/base/once.ts";
import { Batch } from "../../../src/model/batch.ts";
import { calibrateByFile } from "../calibrate.ts";
import type { Model } from "../model_files.ts";
import type { WEIGHT_DTYPES } from "../model_options.ts";
import type { Out } from "../run.ts";
import { BatchEngine } from "./batch_engine.ts";
import { Engines, type OpenedEngine } from "./engines.ts";

/** The sizes of an engine. */
export interface EngineOptions {
  kvDtype: KvDtype;
  /** A file of text that caches are calibrated by. */
  calibrate?: string;
  weightDtype: typeof WEIGHT_DTYPES[number];
  /** Most tokens of a sequence, prompt and answer. The default is the model's own. */
  context?: number;
  /** Most sequences that run together. The default is 16. */
  sequences?: number;
  /** MiB of the keys and values of all sequences. The default is what they need, but at most 256. */
  cacheMib?: number;
}

/** A model as engines need it. */
type EngineModel = Pick<Model, "checkpoint" | "tokenizer">;

const ACTION = "open an engine";

/** Keeps an engine of the model open: another one once a device was lost, which is printed. Calibrations stay the same. */
export function openEngines(
  model: EngineModel,
  options: EngineOptions,
  out: Pick<Out, "error">,
): Promise<Engines> {
  const measured = new Map<string, Promise<KvCalibration[]>>();
  const calibrationOf = (gpu: Gpu, file: string) =>
    once(measured, file, () => calibrateByFile(gpu, model, { action: ACTION, file }));
  return Engines.create(
    () => openEngine(model, options, calibrationOf),
    () => out.error("The GPU was lost: opening another one."),
  );
}

/** Most tokens of a sequence of such an engine. */
export function contextLenOf(
  { checkpoint: { spec: { contextLen } } }: Pick<Model, "checkpoint">,
  { context }: Pick<EngineOptions, "context">,
): number {
  return Math.min(context ?? contextLen, contextLen);
}

async function openEngine(
  model: EngineModel,
  { context, calibrate, kvDtype, weightDtype, sequences, cacheMib }: EngineOptions,
  calibrationOf: (gpu: Gpu, file: string) => Promise<KvCalibration[]>,
): Promise<OpenedEngine> {
  const gpu = await Gpu.open();
  try {
    const kvCalibration = calibrate === undefined ? undefined : await calibrationOf(gpu, calibrate);
    const maxTokens = contextLenOf(model, { context });
    const { spec, weights } = model.checkpoint;
    const batch = await Batch.create(gpu, spec, weights, {
      ...{ maxTokens, kvDtype, kvCalibration, weightDtype, maxSequences: sequences },
      cacheBytes: cacheMib === undefined ? undefined : cacheMib * 2 ** 20,
    });
    const engine = new BatchEngine(batch);
    const destroy = () => {
      engine.destroy();
      gpu.destroy();
    };
    return { engine, lost: gpu.device.lost, destroy };
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}
