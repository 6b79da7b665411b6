/** `bench train`: how fast a model learns, and where the time goes. */
import { Files } from "../../cli/shared/files.ts";
import { exitCodeOf, type Out } from "../../cli/shared/run.ts";
import { Gpu } from "../../mod.ts";
import { openCheckpoint, withPooledKvHeads } from "../../src/checkpoints/mod.ts";
import { KernelClock } from "../models/kernel_clock.ts";
import { architectureOf, measureTraining, type TrainReport } from "./measure.ts";
import { ACTION, parseTrainOptions } from "./options.ts";
import { formatTraining } from "./table.ts";

const files = new Files(ACTION);

/** Runs the command and returns its exit code. */
export async function runTrain(args: readonly string[], out: Out): Promise<number> {
  return await exitCodeOf(async () => {
    const options = parseTrainOptions(args);
    if (typeof options === "string") return out.log(options);
    const { model, kvHeads, batch, tokens, steps, seed, json } = options;
    await files.checkWritable(json);
    const teacher = await openCheckpoint(model, { warn: (sentence) => out.error(sentence) });
    try {
      const models = { teacher, student: withPooledKvHeads(teacher, { kvHeads }) };
      const clock = new KernelClock();
      const gpu = await Gpu.open();
      try {
        const result = await measureTraining(gpu, clock, models, options, out);
        const { description, isSoftware } = gpu.description;
        const report: TrainReport = {
          ...{ schema: 1, adapter: { description, isSoftware }, model },
          ...{ architecture: architectureOf(models), batch, tokens, steps, seed, ...result },
        };
        out.log(formatTraining(report));
        if (!json) return;
        await files.write(json, JSON.stringify(report, null, 2) + "\n");
      } finally {
        gpu.destroy();
      }
    } finally {
      await teacher.close();
    }
  }, out);
}
