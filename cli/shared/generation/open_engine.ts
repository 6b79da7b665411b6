/** Engines of a model, each on a device of its own. */
import { Gpu, type KvDtype } from "../../../mod.ts";
import { Decoder } from "../../../src/model/decoder.ts";
import type { Model } from "../model_files.ts";
import type { WEIGHT_DTYPES } from "../model_options.ts";
import { DecoderEngine } from "./decoder_engine.ts";
import type { Out } from "../run.ts";
import { Engines, type OpenedEngine } from "./engines.ts";

/** The sizes of an engine. */
export interface EngineOptions {
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
  return Engines.create(() => openEngine(model, options), (error) => {
    out.error(error === undefined ? "The GPU was lost: opening another one." : `No GPU: ${error}`);
  });
}

async function openEngine(
  { checkpoint: { spec, weights } }: Pick<Model, "checkpoint">,
  { kvDtype, weightDtype, context }: EngineOptions,
): Promise<OpenedEngine> {
  const gpu = await Gpu.open();
  try {
    const maxTokens = Math.min(context ?? spec.contextLen, spec.contextLen);
    const decoder = await Decoder.create(gpu, spec, weights, { maxTokens, kvDtype, weightDtype });
    const engine = new DecoderEngine(decoder);
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
