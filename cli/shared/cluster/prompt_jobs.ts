/** Prompts of a file as jobs of a queue. */
import { z } from "zod";
import { type Cluster, type JobOutcome, JobQueue, MessageError } from "../../../src/cluster/mod.ts";
import type { Tokenizer } from "../../../src/model/tokenizer/tokenizer.ts";
import type { Engine } from "../generation/engine.ts";
import {
  continueLine,
  type PromptDefaults,
  type PromptLine,
  type PromptResult,
  readLine,
} from "../generation/prompts.ts";

const defaults = z.strictObject({
  maxTokens: z.int().min(1),
  temperature: z.number().min(0),
  topP: z.number().gt(0).max(1),
  seed: z.int().min(0).max(2 ** 32 - 1),
});
const job = z.strictObject({ line: z.unknown(), defaults });

/** Opens the queue of a model's prompts. */
export function openPromptJobs(cluster: Cluster, fingerprint: string): Promise<JobQueue> {
  return JobQueue.open(cluster, { name: "prompts", fingerprint });
}

const result = z.union([
  z.strictObject({ id: z.string(), error: z.string() }),
  z.strictObject({
    ...{ id: z.string(), text: z.string(), finish: z.enum(["stop", "length"]) },
    ...{ promptTokens: z.int().min(1), tokens: z.int().min(0) },
  }),
]);

/** A line as a job. */
export function promptJob(line: PromptLine, defaults: PromptDefaults): unknown {
  return { line, defaults };
}

/** Continues a line that is a job. */
export async function continueJob(
  engine: Engine,
  tokenizer: Tokenizer,
  value: unknown,
): Promise<PromptResult> {
  const { success, data, error } = job.safeParse(value);
  if (!success) throw new MessageError(`Cannot read a prompt: ${error.issues[0].message}`);
  const line = readLine(data.line, "");
  return "error" in line ? line : await continueLine(engine, tokenizer, line, data.defaults);
}

/**
 * The result of a line.
 *
 * @throws {MessageError} If a worker sent something else.
 */
export function promptResult(outcome: JobOutcome): PromptResult {
  if ("dead" in outcome) return { id: outcome.id, error: outcome.dead };
  const { success, data, error } = result.safeParse(outcome.result);
  if (success && data.id === outcome.id) return data;
  throw new MessageError(
    `Cannot read the result of prompt ${outcome.id}: ${error?.issues[0].message ?? "another id"}`,
  );
}
