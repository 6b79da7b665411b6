/** The command: from arguments to results, around the arithmetic. */
import { Gpu, type KvDtype } from "../../mod.ts";
import { isServing, measureCeilings, parseReport, parseServing } from "../../bench/mod.ts";
import { renderSvg } from "../shared/report/svg.ts";
import { Files } from "../shared/files.ts";
import { exitCodeOf, type Out as Terminal } from "../shared/run.ts";
import { formatCheck } from "./check.ts";
import type { Device } from "./device.ts";
import { formatServingCheck } from "./fleet/check_serving.ts";
import { GPUS } from "./gpus.ts";
import { measuredDevice } from "./measured_rates.ts";
import { parseConfig } from "../shared/model_config.ts";
import type { Model } from "../shared/preset.ts";
import { MODELS } from "../shared/presets.ts";
import { findByName } from "../shared/names.ts";
import { parseOptions, type PlanOptions } from "./options.ts";
import { makePlan } from "./make_plan.ts";
import type { Plan } from "./plan.ts";
import { formatHtml } from "./report/html.ts";
import { sectionsOf } from "./report/sections.ts";
import { formatText } from "./report/text.ts";

const EFFORT = { minRounds: 5, maxRounds: 21, budgetMs: 1000 };

const files = new Files("plan");

/** Where the command writes what people read. */
type Out = Pick<Terminal, "log" | "error">;

/** Runs the command and returns its exit code: 2 where what it was given is wrong, 1 where something else failed. */
export function runCommand(args: readonly string[], out: Out): Promise<number> {
  return exitCodeOf(() => run(args, out), out);
}

async function run(args: readonly string[], out: Out): Promise<void> {
  const options = parseOptions(args);
  if (typeof options === "string") return out.log(options);
  if (options.check !== undefined) {
    return out.log(await checkFile(options.check));
  }

  const { json, svg, html } = options;
  await files.checkWritable(json, html);
  if (svg) await files.checkFolder(svg);
  const model = await findModel(options);
  const device = await findDevice(options, out);
  const plan = makePlan({
    ...options,
    model,
    device: { ...device, memoryBytes: options.memoryBytes ?? device.memoryBytes },
    kvHeads: kvHeadsOf(model, options.kvHeads),
    stepTimes: options.stepTimes === undefined
      ? undefined
      : parseServing(await files.readText(options.stepTimes), options.stepTimes),
  });
  const text = JSON.stringify(plan, null, 2);
  out.log(json === "" ? text : formatText(plan));
  if (json) await files.write(json, text + "\n");
  if (html) await files.write(html, await formatHtml(plan));
  if (svg) await writePictures(plan, svg);
}

/** Prediction against measurement, of whichever bench a file is of. */
async function checkFile(file: string): Promise<string> {
  const text = await files.readText(file);
  return isServing(text)
    ? formatServingCheck(parseServing(text, file))
    : formatCheck(parseReport(text, file));
}

async function findModel({ model, config, assumesDense }: PlanOptions): Promise<Model> {
  if (config === undefined) return findByName("model", MODELS, model);
  return parseConfig(await files.readText(config), config, { assumesDense });
}

async function findDevice({ gpu, dtypes }: PlanOptions, out: Out): Promise<Device> {
  if (gpu === "this") return await measureDevice(dtypes, out);
  if (!gpu.endsWith(".json")) return findByName("GPU", GPUS, gpu);
  const { adapter, roofline } = parseReport(await files.readText(gpu), gpu);
  return measuredDevice(adapter.description, { adapter, roofline }, dtypes[0]);
}

/** The present adapter, decoding with a cache of f16 where that is asked for and can be had, of f32 otherwise. */
async function measureDevice(dtypes: readonly KvDtype[], out: Out): Promise<Device> {
  const gpu = await Gpu.open();
  out.error(`measuring ${gpu.description.description} ...`);
  try {
    const dtype = gpu.features.f16 && dtypes.includes("f16") ? "f16" : "f32";
    const asked = { impls: ["fused"], dtypes: [dtype], effort: EFFORT } as const;
    const roofline = await measureCeilings(gpu, asked);
    return measuredDevice(
      gpu.description.description,
      { adapter: gpu.description, roofline },
      dtype,
    );
  } finally {
    gpu.destroy();
  }
}

/** The variants to compare: those asked for, or MHA, the model's own or a usual GQA, and MQA. */
function kvHeadsOf({ numHeads, numKvHeads }: Model, asked: PlanOptions["kvHeads"]): number[] {
  if (asked) return [...new Set(asked.map((count) => count === "all" ? numHeads : count))];
  const grouped = 1 < numKvHeads && numKvHeads < numHeads ? numKvHeads : 8;
  const hasGrouped = grouped < numHeads && numHeads % grouped === 0;
  return [...new Set([numHeads, ...(hasGrouped ? [grouped] : []), 1])];
}

async function writePictures(plan: Plan, folder: string): Promise<void> {
  await files.makeFolder(folder);
  for (const { id, figure } of sectionsOf(plan)) {
    if (figure) await files.write(`${folder}/${id}.svg`, await renderSvg(figure));
  }
}
