/** Prompts of a file as jobs of workers, and their results as they come. */
import { type JobQueue, modelFingerprint } from "../../src/cluster/mod.ts";
import { openCluster } from "../shared/cluster/connect.ts";
import type { ClusterOptions } from "../shared/cluster/options.ts";
import { haveJobsDone, runNameOf } from "../shared/cluster/follow_jobs.ts";
import { openPromptJobs, promptJob, promptResult } from "../shared/cluster/prompt_jobs.ts";
import type { BadLine, PromptDefaults, PromptLine } from "../shared/generation/prompts.ts";
import type { Model } from "../shared/model_files.ts";
import type { Out } from "../shared/run.ts";
import { continueFile, type PromptFiles } from "./prompts_file.ts";

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
      const byId = new Map(left.map((line) => [line.id, line]));
      await haveJobsDone(queue, run, [...byId.keys()], {
        add: async (run, id) => {
          const added = await addJob(queue, run, byId.get(id)!, defaults);
          if (typeof added === "boolean") return added;
          await onResult(added);
        },
        onOutcome: (outcome) => onResult(promptResult(outcome)),
        error: (sentence) => out.error(sentence),
      });
    });
  } finally {
    await cluster.connection.close();
  }
}

/** Adds a line as a job; a bad one, or one that no message can hold, has an error, and spoils no other. */
async function addJob(
  queue: JobQueue,
  run: string,
  line: PromptLine | BadLine,
  defaults: PromptDefaults,
): Promise<boolean | BadLine> {
  if ("error" in line) return line;
  try {
    return await queue.add(run, line.id, promptJob(line, defaults));
  } catch (error) {
    if (error instanceof RangeError) return { id: line.id, error: error.message };
    throw error;
  }
}
