/** A worker's side: its adapter measured for others. */
import type { Gpu } from "../../mod.ts";
import type { Answer } from "../../src/cluster/answer_service.ts";
import { WorkerBusyError } from "../../src/cluster/errors.ts";
import { adapterOf } from "../adapter.ts";
import { measureCeilings } from "../ceilings.ts";
import { FirstUses } from "../first_use.ts";
import type { BenchOptions } from "../options.ts";
import type { Report } from "../result.ts";
import { runGroup } from "../run.ts";
import { readAsked } from "./asked.ts";

/** A part of a report: its parts make the whole one. */
export type ReportPart = Partial<Pick<Report, "adapter" | "roofline" | "firstUse" | "results">>;

/** Answers by measuring the adapter, its ceilings by `ceilings`, for one asker at a time. */
export function answerOnce(
  gpu: Gpu,
  ceilings: typeof measureCeilings = measureCeilings,
): (request: unknown) => Answer {
  let isBusy = false;
  return (request) => {
    if (isBusy) throw new WorkerBusyError("It measures for another");
    const options = readAsked(request);
    isBusy = true;
    let isCancelled = false;
    return {
      cancel: () => isCancelled = true,
      async *[Symbol.asyncIterator]() {
        try {
          for await (const part of partsOf(gpu, options, ceilings)) {
            yield [part];
            if (isCancelled) return;
          }
        } finally {
          isBusy = false;
        }
      },
    };
  };
}

/** Measures everything, and yields what is done. */
async function* partsOf(
  gpu: Gpu,
  options: BenchOptions,
  ceilings: typeof measureCeilings,
): AsyncGenerator<ReportPart> {
  yield { adapter: adapterOf(gpu) };
  const firstUses = new FirstUses();
  const roofline = await ceilings(gpu, options, firstUses);
  yield { roofline };
  const { groups, effort } = options;
  for (const group of groups) {
    yield { results: await runGroup(gpu, group, { effort, roofline, firstUses }) };
  }
  yield { firstUse: firstUses.rows };
}
