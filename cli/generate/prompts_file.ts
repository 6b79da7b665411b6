/** Many prompts from a file, and their results in another, which a later run goes on with. */
import { findTextFile } from "../../src/checkpoints/text_file.ts";
import type { Gpu } from "../../mod.ts";
import { Batch } from "../../src/model/batch.ts";
import { calibrateByFile } from "../shared/calibrate.ts";
import { Files } from "../shared/files.ts";
import { BatchEngine } from "../shared/generation/batch_engine.ts";
import {
  type BadLine,
  type PromptDefaults,
  type PromptLine,
  type PromptResult,
  readPrompts,
  readResults,
  runPrompts,
} from "../shared/generation/prompts.ts";
import type { Model } from "../shared/model_files.ts";
import type { Out } from "../shared/run.ts";
import type { GenerateOptions } from "./options.ts";

const ACTION = "generate";
/** Prompts that are with the engine at once: more than run together, so that none is waited for. */
const TOGETHER = 64;

/** Continues every prompt of a file whose result is not there yet, on this machine's GPU. */
export async function continuePrompts(
  gpu: Gpu,
  model: Model,
  options: PromptFiles,
  out: Out,
): Promise<void> {
  const { checkpoint: { spec, weights }, tokenizer } = model;
  const { kvDtype, weightDtype, window, sinks, calibrate: file } = options;
  const kvCalibration = file === undefined
    ? undefined
    : await calibrateByFile(gpu, model, { action: ACTION, file });
  const sizes = { kvDtype, kvCalibration, weightDtype, window, sinks, maxTokens: spec.contextLen };
  const engine = new BatchEngine(await Batch.create(gpu, spec, weights, sizes));
  try {
    await continueFile(options, out, ({ left, defaults }, onResult) => {
      return runPrompts(engine, tokenizer, left, { together: TOGETHER, defaults, onResult });
    });
  } finally {
    engine.destroy();
  }
}

/** The files of prompts and results, and how prompts are continued. */
export type PromptFiles = GenerateOptions & { prompts: string; out: string };

/** The lines of a file. */
export interface PromptLines {
  /** All of them. */
  lines: readonly (PromptLine | BadLine)[];
  /** Those without a result. */
  left: readonly (PromptLine | BadLine)[];
  /** The values for lines that do not say otherwise. */
  defaults: PromptDefaults;
}

/** Hands the lines of a file to `run`; each result is written when it is there. */
export async function continueFile(
  options: PromptFiles,
  out: Out,
  run: (
    prompts: PromptLines,
    onResult: (result: PromptResult) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  const lines = readPrompts(await new Files(ACTION).readText(options.prompts));
  const { ids, whole } = readResults((await findTextFile(options.out))?.text ?? "");
  const left = lines.filter(({ id }) => !ids.has(id));
  out.log(`${lines.length} prompts, ${lines.length - left.length} of them done before`);
  const { tokens: maxTokens, sampling } = options;
  using file = await openResults(options.out, whole);
  let [failed, generated] = [0, 0];
  {
    using progress = out.progress(left.length);
    await run({ lines, left, defaults: { maxTokens, ...sampling } }, async (result) => {
      if ("error" in result) failed++;
      else generated += result.tokens;
      await writeAll(file, new TextEncoder().encode(`${JSON.stringify(result)}\n`));
      progress.step("prompts");
    });
  }
  out.log(`${left.length - failed} continued by ${generated} tokens, ${failed} with an error`);
}

/** Opens the file of results at its end; what stands behind the last whole line is dropped. */
async function openResults(path: string, whole: string): Promise<Deno.FsFile> {
  try {
    const file = await Deno.open(path, { create: true, write: true });
    await file.truncate(new TextEncoder().encode(whole).length);
    await file.seek(0, Deno.SeekMode.End);
    return file;
  } catch (error) {
    const { message } = error as Error;
    throw new RangeError(`Cannot ${ACTION} as ${path} cannot be written: ${message}`);
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
