/** The engine that runs a model: many sequences at once where their caches permit. */
import type { Gpu, KvDtype } from "../../../mod.ts";
import { Batch } from "../../../src/model/batch.ts";
import { Decoder, type DecoderOptions } from "../../../src/model/decoder.ts";
import { sentence } from "../../../src/base/check.ts";
import type { Model } from "../model_files.ts";
import { BatchEngine } from "./batch_engine.ts";
import { DecoderEngine } from "./decoder_engine.ts";
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
  /** Calibrations of the caches of a decoder: pages have none. */
  kvCalibration?: DecoderOptions["kvCalibration"];
}

/** Uploads a model into an engine, which owns it. */
export async function createEngine(
  gpu: Gpu,
  { spec, weights }: Model["checkpoint"],
  { sequences, cacheMib, ...sizes }: EngineSizes,
): Promise<Engine> {
  if (sizes.kvCalibration !== undefined) {
    const asked = { sequences, cacheMib };
    if (Object.values(asked).some((value) => value !== undefined)) {
      const rule =
        "calibrated caches run one sequence at a time (leave --sequences and --cache-mib out)";
      throw new RangeError(sentence("open an engine", rule, asked));
    }
    return new DecoderEngine(await Decoder.create(gpu, spec, weights, sizes));
  }
  const batch = await Batch.create(gpu, spec, weights, {
    ...{ ...sizes, maxSequences: sequences },
    cacheBytes: cacheMib === undefined ? undefined : cacheMib * 2 ** 20,
  });
  return new BatchEngine(batch);
}
