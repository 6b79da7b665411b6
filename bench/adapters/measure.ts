/** `bench --nats`: the adapters of all workers that are there. */
import { z } from "zod";
import { openCluster } from "../../cli/shared/cluster/connect.ts";
import type { AwaitedCluster } from "../../cli/shared/cluster/options.ts";
import { readMessage } from "../../cli/shared/cluster/read_message.ts";
import type { Out } from "../../cli/shared/run.ts";
import { ask, type Cluster, NoWorkerError, Workers } from "../../src/cluster/mod.ts";
import { delay } from "../../src/cluster/delay.ts";
import { parseReport } from "../report/parse.ts";
import type { Report } from "../result.ts";
import { type AskedOptions, BENCH_SERVICE } from "./asked.ts";

/** What came of a worker. */
export interface AdapterReport {
  /** Its adapter, as the worker says. */
  adapter: string;
  /** All that was measured there; absent where the worker failed. */
  report?: Report;
  /** The reason why there is no report. */
  failure?: string;
}

/** Parts of a report; the whole one is checked. */
const parts = z.array(z.looseObject({ results: z.array(z.unknown()).optional() }));

const readState = (state: unknown) => {
  const { adapter } = (state ?? {}) as { adapter?: unknown };
  return typeof adapter === "string" ? { adapter } : undefined;
};

/**
 * Has every worker that is there measure its adapter: all at once, or in turns. An error of a worker leaves the others' reports
 * as they are.
 *
 * @throws {NoWorkerError} If there is none in time.
 */
export async function measureAdapters(
  at: AwaitedCluster,
  asked: AskedOptions,
  { isInTurns, out }: { isInTurns: boolean; out: Pick<Out, "error"> },
): Promise<AdapterReport[]> {
  const cluster = await openCluster("run the bench", at);
  try {
    const workers = await workersOf(cluster, at.wait);
    out.error(`Workers that measure: ${workers.length}`);
    const reports: AdapterReport[] = [];
    let last: Promise<unknown> = Promise.resolve();
    await Promise.all(workers.map(({ id, state: { adapter } }, i) => {
      const measure = async () => {
        reports[i] = { adapter, ...await askOne(cluster, id, asked) };
        out.error(`${adapter}: ${reports[i].failure ?? "measured"}`);
      };
      return last = isInTurns ? last.then(measure) : measure();
    }));
    return reports;
  } finally {
    await cluster.connection.close();
  }
}

/** Milliseconds that others have once a worker has answered: a busy one answers late. */
const OTHERS_MS = 1000;

/** The workers that are there, once there is one. */
async function workersOf(cluster: Cluster, wait: number) {
  const end = performance.now() + wait;
  const workers = await Workers.open(cluster, { ...BENCH_SERVICE, readState });
  try {
    while (true) {
      if (workers.list().length > 0) await delay(OTHERS_MS);
      // Whoever was there may have stopped meanwhile.
      const there = workers.list();
      if (there.length > 0) return there;
      if (performance.now() > end) {
        throw new NoWorkerError(
          `Cannot run the bench as no worker answered for ${wait / 1000} s ` +
            `(start one: deno run worker --bench): workers of other versions ${workers.others}`,
        );
      }
      await workers.refreshed();
    }
  } finally {
    workers.close();
  }
}

async function askOne(
  cluster: Cluster,
  worker: string,
  asked: AskedOptions,
): Promise<Pick<AdapterReport, "report" | "failure">> {
  const report: Record<string, unknown> = { schema: 1 };
  const all: unknown[] = [];
  try {
    for await (const items of ask(cluster, { ...BENCH_SERVICE, worker }, asked)) {
      for (const { results = [], ...part } of readMessage("a part of a report", parts, items)) {
        Object.assign(report, part);
        all.push(...results);
      }
    }
    const text = JSON.stringify({ ...report, results: all });
    return { report: parseReport(text, `the report of worker ${worker}`) };
  } catch (error) {
    return { failure: (error as Error).message };
  }
}
