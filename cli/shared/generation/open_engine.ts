/** Engines of a model, each on a device of its own. */
import { Gpu, type KvCalibration, type KvDtype } from "../../../mod.ts";
import { once } from "../../../src/base/once.ts";
import { calibrateByFile } from "../calibrate.ts";
import type { Model } from "../model_files.ts";
import type { WEIGHT_DTYPES } from "../model_options.ts";
import type { Out } from "../run.ts";
import { createEngine, type EngineSizes } from "./create_engine.ts";
import { Engines, type OpenedEngine } from "./engines.ts";

/** The sizes of an engine. */
export interface EngineOptions extends Pick<EngineSizes, "sequences" | "cacheMib"> {
  kvDtype: KvDtype;
  /** A file of text that caches are calibrated by. */
  calibrate?: string;
  weightDtype: typeof WEIGHT_DTYPES[number];
  /** Most tokens of a sequence, prompt and answer. The default is the model's own. */
  context?: number;
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
    const engine = await createEngine(gpu, model.checkpoint, {
      ...{ maxTokens, kvDtype, kvCalibration, weightDtype, sequences, cacheMib },
    });
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
