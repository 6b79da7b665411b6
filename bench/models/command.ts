/** `bench models`: whole models on this library and on what people would use instead. */
import { Files } from "../../cli/shared/files.ts";
import { exitCodeOf, type Out } from "../../cli/shared/run.ts";
import { Gpu } from "../../mod.ts";
import { measureModel, stepsOf } from "./measure.ts";
import { onehead } from "./onehead.ts";
import { type ModelsOptions, parseModelsOptions } from "./options.ts";
import type { ModelResult, ModelsReport } from "./result.ts";
import { SYSTEMS } from "./systems.ts";
import { formatModels } from "./table.ts";

const files = new Files("run models");

/** Runs the command and returns its exit code, which is 1 also where a row of ours is wrong. */
export async function runModels(args: readonly string[], out: Out): Promise<number> {
  let rows: readonly ModelResult[] = [];
  const code = await exitCodeOf(async () => {
    const options = parseModelsOptions(args);
    if (typeof options === "string") return out.log(options);
    const { json, svg, html } = options;
    await files.checkWritable(json, svg, html);
    rows = await measureAll(options, out);
    const report: ModelsReport = { schema: 1, adapter: await describeAdapter(), rows };
    out.log(formatModels(report));
    if (json) await files.write(json, JSON.stringify(report, null, 2) + "\n");
    if (svg) {
      const [{ modelsSpec }, { renderSvg }] = await Promise.all([
        import("./chart_spec.ts"),
        import("../../cli/shared/report/svg.ts"),
      ]);
      await files.write(svg, await renderSvg(modelsSpec(report)));
    }
    if (html) {
      const { formatHtml } = await import("./html.ts");
      await files.write(html, await formatHtml(report));
    }
  }, out);
  const isWrong = rows.some(({ system, verdict }) =>
    system === onehead.name && verdict !== "right"
  );
  return code === 0 && isWrong ? 1 : code;
}

/** Measures each model at each work, ours and those of others. */
async function measureAll(
  { models, works, peers }: ModelsOptions,
  out: Pick<Out, "progress">,
): Promise<ModelResult[]> {
  const systems = peers ? SYSTEMS : [onehead];
  const steps = works.reduce((sum, work) => sum + stepsOf(work, systems.length), 0);
  using progress = out.progress(models.length * steps);
  const rows = [];
  for (const model of models) {
    for (const work of works) {
      rows.push(...await measureModel(model, systems, work, { progress }));
    }
  }
  return rows;
}

async function describeAdapter(): Promise<ModelsReport["adapter"]> {
  const gpu = await Gpu.open();
  const { description, isSoftware } = gpu.description;
  gpu.destroy();
  return { description, isSoftware };
}
