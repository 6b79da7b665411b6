/** Prompts of files, which wait at the server until a worker has room for them. */
import type { Cluster } from "../../src/cluster/mod.ts";
import { continueJob, openPromptJobs } from "../shared/cluster/prompt_jobs.ts";
import type { Engine } from "../shared/generation/engine.ts";
import type { Model } from "../shared/model_files.ts";
import type { Out } from "../shared/run.ts";
import type { WorkerOptions } from "./options.ts";

/** Starts to take prompts; without JetStream, which is said, there are none. */
export async function startJobs(
  cluster: Cluster,
  engine: () => Engine,
  { model: { tokenizer }, fingerprint, options: { patience, maxQueue }, out }: {
    model: Pick<Model, "tokenizer">;
    fingerprint: string;
    options: Pick<WorkerOptions, "patience" | "maxQueue">;
    out: Pick<Out, "error">;
  },
): Promise<{ stop: () => Promise<void> }> {
  let queue;
  try {
    queue = await openPromptJobs(cluster, fingerprint);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    out.error(`No prompts of files are taken. ${error.message}`);
    return { stop: () => Promise.resolve() };
  }
  const controller = new AbortController();
  const work = queue.work((job) => continueJob(engine(), tokenizer, job), {
    signal: controller.signal,
    patience: patience * 1000,
    hasRoom: () => engine().stats().waiting < maxQueue,
    warn: (sentence) => out.error(sentence),
  });
  const stop = async () => {
    controller.abort();
    await work;
  };
  return { stop };
}
