/** `bench models`: whole models on this library and on what people would use instead. */
import { Files } from "../../cli/shared/files.ts";
import { Progress } from "../../cli/shared/progress.ts";
import { exitCodeOf, type Out } from "../../cli/shared/run.ts";
import { Gpu } from "../../mod.ts";
import { measureModel, stepsOf } from "./measure.ts";
import { onehead } from "./onehead.ts";
import { parseModelsOptions } from "./options.ts";
import type { ModelResult } from "./result.ts";
import { SYSTEMS } from "./systems.ts";
import { formatModels } from "./table.ts";

const files = new Files("run models");

/** Runs the command and returns its exit code, which is 1 also where a row of ours is wrong. */
export async function runModels(
  args: readonly string[],
  out: Pick<Out, "log" | "error">,
): Promise<number> {
  const rows: ModelResult[] = [];
  const code = await exitCodeOf(async () => {
    const options = parseModelsOptions(args);
    if (typeof options === "string") return out.log(options);
    const { models, works, peers, json } = options;
    await files.checkWritable(json);
    const systems = peers ? SYSTEMS : [onehead];
    const steps = works.reduce((sum, work) => sum + stepsOf(work, systems.length), 0);
    const progress = new Progress(models.length * steps);
    for (const model of models) {
      for (const work of works) {
        rows.push(...await measureModel(model, systems, work, { progress }));
      }
    }
    progress.end();
    const adapter = await describeAdapter();
    out.log(`Adapter   ${adapter.description}\n`);
    out.log(formatModels(rows));
    if (!json) return;
    await files.write(json, JSON.stringify({ schema: 1, adapter, rows }, null, 2) + "\n");
  }, out);
  const isWrong = rows.some(({ system, verdict }) =>
    system === onehead.name && verdict !== "right"
  );
  return code === 0 && isWrong ? 1 : code;
}

async function describeAdapter(): Promise<{ description: string; isSoftware: boolean }> {
  const gpu = await Gpu.open();
  const { description, isSoftware } = gpu.description;
  gpu.destroy();
  return { description, isSoftware };
}
