/** This machine's adapter, measured for others, in place of an engine. */
import { answerOnce, BENCH_SERVICE } from "../../bench/mod.ts";
import { Gpu } from "../../mod.ts";
import { AnswerService } from "../../src/cluster/mod.ts";
import { openCluster, unserved } from "../shared/cluster/connect.ts";
import type { ClusterOptions } from "../shared/cluster/options.ts";
import type { Out } from "../shared/run.ts";
import { untilSignal } from "../shared/signals.ts";
import { lossOf } from "./loss.ts";

/** Measures for whoever asks, one at a time, until a signal ends it. */
export async function measureAdapter(
  at: ClusterOptions,
  out: Pick<Out, "log" | "error">,
): Promise<void> {
  const cluster = await openCluster("start a worker", at);
  try {
    const gpu = await Gpu.open();
    try {
      const { description: adapter } = gpu.description;
      const service = await AnswerService.start(cluster, {
        ...{ ...BENCH_SERVICE, state: () => ({ adapter }), answer: answerOnce(gpu) },
      });
      out.log(`Worker ${service.id} measures ${adapter} at ${at.url} (Ctrl-C ends it)`);
      const failed = Promise.race([
        lossOf(gpu, "measure the adapter"),
        unserved("measure the adapter", cluster, service.stopped),
      ]);
      await untilSignal(out, () => service.stop(), failed);
    } finally {
      gpu.destroy();
    }
  } finally {
    await cluster.connection.close();
  }
}
