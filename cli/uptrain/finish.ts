import type { Gpu } from "../../mod.ts";
import { type Checkpoint, writeCheckpoint } from "../../src/checkpoints/mod.ts";
import type { Files } from "../shared/files.ts";
import { type Model, tokenizerPath } from "../shared/model_files.ts";
import { renderSvg } from "../shared/report/svg.ts";
import type { Out } from "../shared/run.ts";
import type { UptrainOptions } from "./options.ts";
import { curveFigure } from "./report/curve_figure.ts";
import { formatTable } from "./report/table.ts";
import type { Report } from "./result.ts";
import type { TrainingRun } from "./training_folder.ts";

/** Writes the model and all figures, and prints them. */
export async function finish(
  gpu: Gpu,
  { tokenizer }: Model,
  { written, run, options, files }: {
    written: Checkpoint;
    run: TrainingRun;
    options: UptrainOptions;
    files: Files;
  },
  out: Out,
): Promise<void> {
  const { texts, stages, merge, curve, seconds } = run;
  const { model, out: folder, json, tokens, batch, rate, teacher } = options;
  const report: Report = {
    ...{ schema: 1, model, out: folder },
    adapter: {
      description: gpu.description.description,
      isSoftware: gpu.description.isSoftware,
    },
    text: {
      source: texts.source,
      learned: texts.learned.flat().length,
      heldOut: texts.heldOut.flat().length,
    },
    contextLen: written.spec.contextLen,
    stages,
    ...(merge && { merge }),
    ...(tokens > 0 && {
      training: { options: { tokens, batch, rate, teacher }, curve, seconds },
    }),
  };
  const endOfText = tokenizer.endOfText;
  const path = await tokenizerPath(options);
  await writeCheckpoint(folder, { ...written, endOfText }, { tokenizer: path });
  const text = JSON.stringify(report, null, 2);
  await files.write(`${folder}/uptrain.json`, text + "\n");
  if (report.training) {
    await files.write(`${folder}/loss.svg`, await renderSvg(curveFigure(report)));
  }
  if (json) await files.write(json, text + "\n");
  out.log(json === "" ? text : formatTable(report));
}
