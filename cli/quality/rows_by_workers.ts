/** The rows of a table, measured by workers: a job each. */
import { MAX_BYTES, mostOf } from "../../src/cluster/cluster.ts";
import { type JobQueue, modelFingerprint, NoWorkerError } from "../../src/cluster/mod.ts";
import { openCluster } from "../shared/cluster/connect.ts";
import { haveJobsDone, isWorkedOn, runNameOf } from "../shared/cluster/follow_jobs.ts";
import type { AwaitedCluster } from "../shared/cluster/options.ts";
import {
  openQualityJobs,
  type QualityJob,
  readRow,
  readText,
  type RemoteRow,
} from "../shared/cluster/quality_jobs.ts";
import type { Model } from "../shared/model_files.ts";
import {
  ADAPTER_FEATURES,
  type AdapterFeature,
  needOf,
  type Variant,
} from "../shared/quality/variant.ts";
import type { Out } from "../shared/run.ts";
import { checkTable } from "./check_table.ts";
import type { QualityOptions } from "./options.ts";
import { type MeasuredTable, rowsOf, type Table, titleOf } from "./table_rows.ts";

/** Jobs that belong together. */
interface Run {
  queue: JobQueue;
  /** The word that later calls find their results by. */
  run: string;
  jobs: readonly QualityJob[];
}

/** Has every row measured. */
export async function measureByWorkers(
  model: Model,
  table: Table,
  { cluster: at, seed, calibration }:
    & Pick<QualityOptions, "seed" | "calibration">
    & { cluster: AwaitedCluster },
  out: Out,
): Promise<MeasuredTable> {
  const { checkpoint: { spec, weights }, tokenizer } = model;
  const { text, variants } = table;
  const cluster = await openCluster("measure quality", at);
  try {
    checkTable(model, table, { calibration }, mostOf(cluster, MAX_BYTES));
    const fingerprint = await modelFingerprint(spec, weights, tokenizer);
    const settings = { seed, calibration };
    /** Opens the queue of jobs, by their need, and checks that it has room for their results. */
    const openRun = async (jobs: readonly QualityJob[], need?: AdapterFeature): Promise<Run> => {
      const queue = await openQualityJobs(cluster, fingerprint, need);
      const run = await runNameOf(fingerprint, jobs);
      await queue.checkRoom(run, jobs.length);
      return { queue, run, jobs };
    };
    /** Has jobs done, and hands over the result of each by its index. */
    const haveDone = async (
      { queue, run, jobs }: Run,
      onResult: (result: unknown, index: number) => void,
      error: (sentence: string) => void,
    ) => {
      const ids = [...jobs.keys().map(String)];
      await haveJobsDone(queue, run, ids, {
        add: (run, id) => queue.add(run, id, jobs[Number(id)]),
        onOutcome: (outcome, isKnown) => {
          const index = Number(outcome.id);
          try {
            if ("result" in outcome) return onResult(outcome.result, index);
            const job = jobs[index];
            const what = job.kind === "row" ? titleOf(job.variant) : "the text";
            throw new Error(`Cannot measure quality as no worker did ${what}: ${outcome.dead}`);
          } catch (error) {
            // What failed in an earlier call is done again.
            if (isKnown) return true;
            throw error;
          }
        },
        ...{ error, wait: at.wait, cure: "deno run worker --quality" },
      });
    };
    let tokens: readonly number[] = [];
    if (typeof text === "number") {
      const job: QualityJob = { kind: "text", tokens: text, settings };
      await haveDone(await openRun([job]), (result) => {
        tokens = readText(result, text, spec.vocabSize);
      }, (sentence) => out.error(sentence));
    } else tokens = text;
    /** The run of the variants that have a need. */
    const runOf = async (need?: AdapterFeature) => {
      const needy = variants.filter((variant) => needOf(variant) === need);
      const jobs = needy.map((variant): QualityJob => ({
        ...{ kind: "row", tokens, variant, settings },
      }));
      return { variants: needy, ...await openRun(jobs, need) };
    };
    // Each has room before any is filled.
    const plain = await runOf();
    const needs = ADAPTER_FEATURES.filter((need) => variants.some((each) => needOf(each) === need));
    const runs = await Promise.all(needs.map(async (need) => ({ need, ...await runOf(need) })));
    const remote = new Map<Variant, RemoteRow>();
    /** Measures the variants of all runs. */
    const measureAll = async (say: (sentence: string) => void) => {
      using progress = out.progress(variants.length);
      const measure = ({ variants, ...run }: Run & { variants: readonly Variant[] }) =>
        haveDone(run, (result, index) => {
          remote.set(variants[index], readRow(result, tokens.length));
          progress.step(titleOf(variants[index]));
        }, say);
      const ofAll = measure(plain);
      /** Measures the variants that need a feature, where a worker has it or had it. */
      const measureNeedy = async ({ need, ...needy }: typeof runs[number]) => {
        const { queue, run } = needy;
        const { outcomes } = await queue.count(run);
        if (outcomes > 0 || await isWorkedOn(queue, { others: ofAll, wait: at.wait })) {
          try {
            return await measure(needy);
          } catch (error) {
            if (!(error instanceof NoWorkerError)) throw error;
          }
        }
        say(`${need} is left out: no worker has it`);
        const missing = needy.variants.filter((variant) => !remote.has(variant));
        for (const variant of missing) progress.step(`${titleOf(variant)} is left out`);
      };
      await Promise.all([ofAll, ...runs.map(measureNeedy)]);
    };
    // The line of the progress is its own until it ends.
    const said: string[] = [];
    try {
      await measureAll((sentence) => void said.push(sentence));
    } finally {
      for (const sentence of said) out.error(sentence);
    }
    return { tokens, ...tableOf(variants, remote) };
  } finally {
    await cluster.connection.close();
  }
}

/** The rows that were measured, and where. */
function tableOf(
  variants: readonly Variant[],
  remote: ReadonlyMap<Variant, RemoteRow>,
): Pick<MeasuredTable, "rows" | "adapter"> {
  const measured = variants.flatMap((variant) => {
    const row = remote.get(variant);
    return row ? [{ variant, ...row }] : [];
  });
  const adapters = measured.map(({ adapter }) => adapter);
  return {
    rows: rowsOf(measured),
    adapter: {
      description: [...new Set(adapters.map(({ description }) => description))].join("; "),
      isSoftware: adapters.some(({ isSoftware }) => isSoftware),
    },
  };
}
