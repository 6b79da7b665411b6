/** The rows of a table, measured by workers: a job each. */
import { MAX_BYTES, mostOf } from "../../src/cluster/cluster.ts";
import { modelFingerprint } from "../../src/cluster/mod.ts";
import { openCluster } from "../shared/cluster/connect.ts";
import { haveJobsDone, runNameOf } from "../shared/cluster/follow_jobs.ts";
import type { AwaitedCluster } from "../shared/cluster/options.ts";
import {
  openQualityJobs,
  type QualityJob,
  readRow,
  readText,
  type RemoteRow,
} from "../shared/cluster/quality_jobs.ts";
import type { Model } from "../shared/model_files.ts";
import type { Variant } from "../shared/quality/variant.ts";
import type { Out } from "../shared/run.ts";
import { checkTable } from "./check_table.ts";
import type { QualityOptions } from "./options.ts";
import { type MeasuredTable, rowsOf, type Table, titleOf } from "./table_rows.ts";

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
    const queue = await openQualityJobs(cluster, fingerprint);
    const settings = { seed, calibration };
    /** Has jobs done, and hands over the result of each by its index; those that were asked for before may be refused by false. */
    const haveDone = async (
      jobs: readonly QualityJob[],
      onResult: (result: unknown, index: number, isKnown: boolean) => boolean | void,
    ) => {
      const run = await runNameOf(fingerprint, jobs);
      await queue.checkRoom(run, jobs.length);
      const ids = [...jobs.keys().map(String)];
      await haveJobsDone(queue, run, ids, {
        add: (run, id) => queue.add(run, id, jobs[Number(id)]),
        onOutcome: (outcome, isKnown) => {
          const index = Number(outcome.id);
          try {
            if ("result" in outcome) return onResult(outcome.result, index, isKnown) === false;
            const job = jobs[index];
            const what = job.kind === "row" ? titleOf(job.variant) : "the text";
            throw new Error(`Cannot measure quality as no worker did ${what}: ${outcome.dead}`);
          } catch (error) {
            // What failed in an earlier call is done again.
            if (isKnown) return true;
            throw error;
          }
        },
        ...{ error: (sentence) => out.error(sentence), wait: at.wait },
        cure: "deno run worker --quality",
      });
    };
    let tokens: readonly number[] = [];
    if (typeof text === "number") {
      const job: QualityJob = { kind: "text", tokens: text, settings };
      await haveDone([job], (result) => {
        tokens = readText(result, text, spec.vocabSize);
      });
    } else tokens = text;
    const remote: RemoteRow[] = [];
    const jobs = variants.map((variant): QualityJob => ({
      ...{ kind: "row", tokens, variant, settings },
    }));
    {
      using progress = out.progress(variants.length);
      await haveDone(jobs, (result, index, isKnown) => {
        const variant = variants[index];
        const row = readRow(result, tokens.length, variant);
        // Another worker may have what the adapter of an earlier call lacked.
        if (!row.measured && isKnown) return false;
        remote[index] = row;
        progress.step(titleOf(variant));
      });
    }
    return { tokens, ...tableOf(variants, remote, out) };
  } finally {
    await cluster.connection.close();
  }
}

/** The rows that were measured, and where; others are named. */
function tableOf(
  variants: readonly Variant[],
  remote: readonly RemoteRow[],
  out: Pick<Out, "error">,
): Pick<MeasuredTable, "rows" | "adapter"> {
  const measured = remote.flatMap(({ adapter: { description }, measured }, index) => {
    const variant = variants[index];
    if (measured) return [{ variant, measured }];
    out.error(`${variant.kvDtype} is left out: ${description} lacks it`);
    return [];
  });
  const adapters = remote.map(({ adapter }) => adapter);
  return {
    rows: rowsOf(measured),
    adapter: {
      description: [...new Set(adapters.map(({ description }) => description))].join("; "),
      isSoftware: adapters.some(({ isSoftware }) => isSoftware),
    },
  };
}
