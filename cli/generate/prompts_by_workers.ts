/** Prompts of a file as jobs of workers, and their results as they come. */
import { type JobQueue, modelFingerprint } from "../../src/cluster/mod.ts";
import { openCluster } from "../shared/cluster/connect.ts";
import type { ClusterOptions } from "../shared/cluster/options.ts";
import { followJobs, runNameOf } from "../shared/cluster/follow_jobs.ts";
import { openPromptJobs, promptJob, promptResult } from "../shared/cluster/prompt_jobs.ts";
import type { BadLine, PromptDefaults, PromptLine } from "../shared/generation/prompts.ts";
import type { Model } from "../shared/model_files.ts";
import type { Out } from "../shared/run.ts";
import { continueFile, type PromptFiles } from "./prompts_file.ts";

/** Jobs that are added at a time. */
const TOGETHER = 64;

/** Continues every prompt of a file whose result is not there yet: workers do, also while this command does not run. */
export async function continueByWorkers(
  { checkpoint: { spec, weights }, tokenizer }: Model,
  options: PromptFiles & { cluster: ClusterOptions },
  out: Out,
): Promise<void> {
  const cluster = await openCluster("generate", options.cluster);
  try {
    const fingerprint = await modelFingerprint(spec, weights, tokenizer);
    const queue = await openPromptJobs(cluster, fingerprint);
    const workers = await queue.workers();
    out.error(`Workers of model ${fingerprint}: ${workers.list().length}`);
    workers.close();
    await continueFile(options, out, async ({ lines, left, defaults }, onResult) => {
      const run = await runNameOf(fingerprint, lines, defaults);
      const add = async (line: PromptLine | BadLine) =>
        "error" in line ? line : await addJob(queue, run, line, defaults);
      const waiting = new Set<string>();
      for (let i = 0; i < left.length; i += TOGETHER) {
        for (const line of await Promise.all(left.slice(i, i + TOGETHER).map(add))) {
          if ("error" in line) await onResult(line);
          else waiting.add(line.id);
        }
      }
      await followJobs(queue, run, waiting, (outcome) => onResult(promptResult(outcome)));
    });
  } finally {
    await cluster.connection.close();
  }
}

/** Adds a line as a job; one that no message can hold has an error, and spoils no other. */
async function addJob(
  queue: JobQueue,
  run: string,
  line: PromptLine,
  defaults: PromptDefaults,
): Promise<PromptLine | BadLine> {
  try {
    await queue.add(run, line.id, promptJob(line, defaults));
    return line;
  } catch (error) {
    if (error instanceof RangeError) return { id: line.id, error: error.message };
    throw error;
  }
}
