/** Engines of a model, each on a device of its own. */
import { Gpu, type KvDtype } from "../../../mod.ts";
import type { Model } from "../model_files.ts";
import type { WEIGHT_DTYPES } from "../model_options.ts";
import type { Out } from "../run.ts";
import { createEngine, type EngineSizes } from "./create_engine.ts";
import { Engines, type OpenedEngine } from "./engines.ts";

/** The sizes of an engine. */
export interface EngineOptions extends Pick<EngineSizes, "sequences" | "cacheMib"> {
  kvDtype: KvDtype;
  weightDtype: typeof WEIGHT_DTYPES[number];
  /** Most tokens of a sequence, prompt and answer. The default is the model's own. */
  context?: number;
}

/** Keeps an engine of the model open: another one once a device was lost, which is printed. */
export function openEngines(
  model: Pick<Model, "checkpoint">,
  options: EngineOptions,
  out: Pick<Out, "error">,
): Promise<Engines> {
  return Engines.create(
    () => openEngine(model, options),
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
  model: Pick<Model, "checkpoint">,
  { context, kvDtype, weightDtype, sequences, cacheMib }: EngineOptions,
): Promise<OpenedEngine> {
  const gpu = await Gpu.open();
  try {
    const engine = await createEngine(gpu, model.checkpoint, {
      ...{ maxTokens: contextLenOf(model, { context }), kvDtype, weightDtype, sequences, cacheMib },
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
