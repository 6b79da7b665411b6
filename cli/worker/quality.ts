/** Rows of tables of quality, in place of an engine. */
import { Gpu } from "../../mod.ts";
import { Turns } from "../../src/base/turns.ts";
import { modelFingerprint } from "../../src/cluster/mod.ts";
import { openCluster, unserved } from "../shared/cluster/connect.ts";
import { doQualityJob, openQualityJobs, readQualityJob } from "../shared/cluster/quality_jobs.ts";
import type { Model } from "../shared/model_files.ts";
import { type DrawSettings, Measurer } from "../shared/quality/measurer.ts";
import { ADAPTER_FEATURES } from "../shared/quality/variant.ts";
import { SILENT } from "../shared/progress.ts";
import type { Out } from "../shared/run.ts";
import { untilSignal } from "../shared/signals.ts";
import { lossOf } from "./loss.ts";
import type { WorkerOptions } from "./options.ts";

/** Measurements say nothing of their progress here. */
const NOWHERE = { progress: () => SILENT };

/** Measures rows, one at a time, until a signal ends it. */
export async function measureRows(
  model: Model,
  { cluster: at, patience }: Pick<WorkerOptions, "cluster" | "patience">,
  out: Pick<Out, "log" | "error">,
): Promise<void> {
  const { checkpoint: { spec, weights }, tokenizer } = model;
  const cluster = await openCluster("start a worker", at);
  try {
    const fingerprint = await modelFingerprint(spec, weights, tokenizer);
    const gpu = await Gpu.open();
    try {
      const features = ADAPTER_FEATURES.filter((feature) => gpu.features[feature]);
      const queues = await Promise.all(
        [undefined, ...features].map((need) => openQualityJobs(cluster, fingerprint, need)),
      );
      /** Jobs that it has: more than one where queues handed them out at the same time. */
      let jobs = 0;
      const turns = new Turns();
      let last: { settings: DrawSettings; measurer: Measurer } | undefined;
      /** The measurer of a table: it has drawn what its rows share. */
      const measurerOf = (settings: DrawSettings): Measurer => {
        const { seed, calibration } = settings;
        if (last?.settings.seed !== seed || last.settings.calibration !== calibration) {
          last = { settings, measurer: new Measurer(gpu, model, settings, NOWHERE) };
        }
        return last.measurer;
      };
      const controller = new AbortController();
      const measure = async (value: unknown) => {
        jobs++;
        try {
          const job = readQualityJob(value);
          return await turns.take(() => doQualityJob(job, measurerOf(job.settings), spec));
        } finally {
          jobs--;
        }
      };
      const options = {
        ...{ signal: controller.signal, patience: 1000 * patience, hasRoom: () => jobs === 0 },
        warn: (sentence: string) => out.error(sentence),
      };
      const work = Promise.all(queues.map((queue) => queue.work(measure, options)));
      const failed = Promise.race([
        lossOf(gpu, "measure quality"),
        unserved("measure quality", cluster, work),
      ]);
      out.log(`Worker for quality of model ${fingerprint} at ${at.url} (Ctrl-C ends it)`);
      await untilSignal(out, async () => {
        controller.abort();
        await work;
      }, failed);
    } finally {
      gpu.destroy();
    }
  } finally {
    await cluster.connection.close();
  }
}
