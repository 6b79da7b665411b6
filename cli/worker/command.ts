/** The command: an engine at a NATS server until a signal ends it. */
import { modelFingerprint } from "../../src/cluster/mod.ts";
import { openCluster, unserved } from "../shared/cluster/connect.ts";
import { startEngineService } from "../shared/cluster/engine_service.ts";
import type { Engines } from "../shared/generation/engines.ts";
import { contextLenOf, openEngines } from "../shared/generation/open_engine.ts";
import { type Model, withModel } from "../shared/model_files.ts";
import { exitCodeOf, type Out } from "../shared/run.ts";
import { measureAdapter } from "./bench.ts";
import { startJobs } from "./jobs.ts";
import { measureRows } from "./quality.ts";
import { untilSignal } from "../shared/signals.ts";
import { holdShard } from "./shard.ts";
import { parseOptions, type WorkerOptions } from "./options.ts";

/** Runs the command and returns its exit code. */
export function runCommand(args: readonly string[], out: Out): Promise<number> {
  return exitCodeOf(async () => {
    const options = parseOptions(args);
    if (typeof options === "string") return out.log(options);
    if ("bench" in options) return await measureAdapter(options.cluster, out);
    if (options.shard) return await holdShard(options, options.shard, out);
    const run = options.quality ? measureRows : work;
    await withModel(options, out, (model) => run(model, options, out));
  }, out);
}

async function work(model: Model, options: WorkerOptions, out: Out): Promise<void> {
  const { checkpoint: { spec, weights }, tokenizer } = model;
  const cluster = await openCluster("start a worker", options.cluster);
  try {
    const fingerprint = await modelFingerprint(spec, weights, tokenizer);
    let engines: Engines | undefined = undefined;
    // Others know of it while the engine is opened, and wait for it.
    const service = await startEngineService(cluster, () => engines?.current(), {
      ...{ fingerprint, contextLen: contextLenOf(model, options), maxQueue: options.maxQueue },
    });
    engines = await openEngines(model, options, out);
    try {
      const jobs = await startJobs(cluster, engines.current, { model, fingerprint, options, out });
      out.log(
        `Worker ${service.id} of model ${fingerprint} at ${options.cluster.url} (Ctrl-C ends it)`,
      );
      const stop = () => Promise.all([service.stop(), jobs.stop()]);
      const failed = Promise.race([engines.failed, unserved("answer", cluster, service.stopped)]);
      await untilSignal(out, stop, failed);
    } finally {
      engines.destroy();
    }
  } finally {
    await cluster.connection.close();
  }
}
