/** Prompts of files, which wait at the server until a worker has room for them. */
import type { Cluster } from "../../src/cluster/mod.ts";
import { continueJob, openPromptJobs } from "../shared/cluster/prompt_jobs.ts";
import { loadOf } from "../shared/cluster/worker_choice.ts";
import type { Engine } from "../shared/generation/engine.ts";
import type { Model } from "../shared/model_files.ts";
import type { Out } from "../shared/run.ts";
import type { WorkerOptions } from "./options.ts";

const NONE = { stop: () => Promise.resolve() };

/** Takes prompts. Without JetStream, or where the model takes longer ones than the engine, it says so and takes none. */
export async function startJobs(
  cluster: Cluster,
  engine: () => Engine,
  { model: { tokenizer, checkpoint: { spec } }, fingerprint, options: { patience, maxQueue }, out }:
    {
      model: { tokenizer: Model["tokenizer"]; checkpoint: { spec: { contextLen: number } } };
      fingerprint: string;
      options: Pick<WorkerOptions, "patience" | "maxQueue">;
      out: Pick<Out, "error">;
    },
): Promise<{ stop: () => Promise<void> }> {
  const { contextLen } = engine();
  if (contextLen < spec.contextLen) {
    // What such an engine refuses as too long would be the prompt's result, though another worker could continue it.
    out.error(
      `No prompts of files are taken. The context is ${contextLen}, and must be the model's ${spec.contextLen} (leave out --context).`,
    );
    return NONE;
  }
  let queue;
  try {
    queue = await openPromptJobs(cluster, fingerprint);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    out.error(`No prompts of files are taken. ${error.message}`);
    return NONE;
  }
  const controller = new AbortController();
  const work = queue.work((job) => continueJob(engine(), tokenizer, job), {
    signal: controller.signal,
    patience: patience * 1000,
    hasRoom: () => loadOf(engine().stats()).waiting < maxQueue,
    warn: (sentence) => out.error(sentence),
  }).catch(({ message }: Error) => out.error(`No prompts of files are taken. ${message}`));
  const stop = async () => {
    controller.abort();
    await work;
  };
  return { stop };
}
