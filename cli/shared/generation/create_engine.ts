/** The engine that runs a model. */
import type { Gpu, KvCalibration, KvDtype } from "../../../mod.ts";
import { Batch } from "../../../src/model/batch.ts";
import type { Model } from "../model_files.ts";
import { BatchEngine } from "./batch_engine.ts";
import type { Engine } from "./engine.ts";

/** The sizes of an engine. */
export interface EngineSizes {
  kvDtype: KvDtype;
  weightDtype: KvDtype;
  /** Most tokens of a sequence, prompt and answer. */
  maxTokens: number;
  /** Most sequences that run together. The default is 16. */
  sequences?: number;
  /** MiB of the keys and values of all sequences. The default is what they need, but at most 256. */
  cacheMib?: number;
  window?: number;
  sinks?: number;
  /** The calibration of each layer's keys and values. The default is none. */
  kvCalibration?: readonly KvCalibration[];
}

/** Uploads a model into an engine, which owns it. */
export async function createEngine(
  gpu: Gpu,
  { spec, weights }: Model["checkpoint"],
  { sequences, cacheMib, ...sizes }: EngineSizes,
): Promise<Engine> {
  const batch = await Batch.create(gpu, spec, weights, {
    ...{ ...sizes, maxSequences: sequences },
    cacheBytes: cacheMib === undefined ? undefined : cacheMib * 2 ** 20,
  });
  return new BatchEngine(batch);
}
