import type { Gpu, KvCalibration, KvDtype } from "../../mod.ts";
import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import { sentence } from "../../src/base/check.ts";
import { Decoder } from "../../src/model/decoder.ts";
import { isQuantized } from "../../src/tensor/quantized.ts";
import { Files } from "./files.ts";
import type { Model } from "./model_files.ts";

/** Throws where a file is named to calibrate caches that do not store integers. */
export function checkCalibrate(
  action: string,
  { calibrate, kvDtype }: { calibrate?: string; kvDtype: KvDtype },
): void {
  if (calibrate === undefined || isQuantized(kvDtype)) return;
  throw new RangeError(
    `Cannot ${action} as --calibrate needs --cache-dtype int8 or int4 beside it`,
  );
}

/**
 * Offsets and scales of the channels of a model's caches, measured while it reads the text of a file.
 *
 * @throws {RangeError} If there is no token in it.
 */
export async function calibrateByFile(
  gpu: Gpu,
  { checkpoint, tokenizer }: Pick<Model, "checkpoint" | "tokenizer">,
  { action, file }: { action: string; file: string },
): Promise<KvCalibration[]> {
  const tokens = tokenizer.encode(await new Files(action).readText(file));
  if (tokens.length > 0) return await calibrate(gpu, checkpoint, tokens);
  throw new RangeError(sentence(action, `there must be a token in ${file}`, { tokens: 0 }));
}

/** Offsets and scales of the channels of a model's caches, measured while it reads tokens. */
export async function calibrate(
  gpu: Gpu,
  { spec, weights }: Pick<Checkpoint, "spec" | "weights">,
  tokens: readonly number[],
): Promise<KvCalibration[]> {
  const read = tokens.slice(0, spec.contextLen);
  const decoder = await Decoder.create(gpu, spec, weights, { maxTokens: read.length });
  try {
    await decoder.feed(read);
    return await decoder.calibrate();
  } finally {
    decoder.destroy();
  }
}
