/** `deno run plan`: the command line around the arithmetic. */
import { Gpu } from "../mod.ts";
import type { Roofline } from "../bench/result.ts";
import { renderSvg } from "../bench/report/svg.ts";
import { measureDecode } from "../bench/decode_ceilings.ts";
import { measureRoofline } from "../bench/roofline.ts";
import { formatCheck } from "./check.ts";
import { type Device, GPUS } from "./gpus.ts";
import { parseConfig } from "./hf_config.ts";
import { measuredDevice } from "./measured_rates.ts";
import type { Model } from "./model.ts";
import { MODELS } from "./models.ts";
import { findByName } from "./names.ts";
import { parseOptions, type PlanOptions } from "./options.ts";
import { makePlan, type Plan } from "./plan.ts";
import { parseReport } from "./read_report.ts";
import { formatHtml } from "./report/html.ts";
import { sectionsOf } from "./report/sections.ts";
import { formatText } from "./report/text.ts";

const EFFORT = { minRounds: 5, maxRounds: 21, budgetMs: 1000 };

async function main(args: readonly string[]): Promise<void> {
  const options = parseOptions(args);
  if (typeof options === "string") return console.log(options);
  if (options.check !== undefined) {
    return console.log(formatCheck(parseReport(await readFile(options.check), options.check)));
  }

  const model = await findModel(options);
  const device = await findDevice(options);
  const plan = makePlan({
    ...options,
    model,
    device: { ...device, memoryBytes: options.memoryBytes ?? device.memoryBytes },
    kvHeads: kvHeadsOf(model, options.kvHeads),
  });
  await writeResults(plan, options);
}

async function findModel({ model, config }: PlanOptions): Promise<Model> {
  if (config === undefined) return findByName("model", MODELS, model);
  return parseConfig(await readFile(config), config);
}

async function findDevice({ gpu, dtypes }: PlanOptions): Promise<Device> {
  if (gpu === "this") return await measureDevice();
  if (!gpu.endsWith(".json")) return findByName("GPU", GPUS, gpu);
  const { adapter, roofline } = parseReport(await readFile(gpu), gpu);
  return measuredDevice(adapter.description, roofline, dtypes[0]);
}

async function measureDevice(): Promise<Device> {
  const gpu = await Gpu.open();
  console.error(`measuring ${gpu.description.description} ...`);
  try {
    const roofline: Roofline = await measureRoofline(gpu, EFFORT);
    const asked = { impl: "fused", dtype: "f32" } as const;
    roofline.decode = [await measureDecode(gpu, asked, { effort: EFFORT, roofline })];
    return measuredDevice(gpu.description.description, roofline, "f32");
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

async function writeResults(plan: Plan, { json, svg, html }: PlanOptions): Promise<void> {
  const text = JSON.stringify(plan, null, 2);
  console.log(json === "" ? text : formatText(plan));
  if (json) await writeFile(json, text + "\n");
  if (html) await writeFile(html, await formatHtml(plan));
  if (!svg) return;
  await attempt(`${svg} cannot be made`, () => Deno.mkdir(svg, { recursive: true }));
  for (const { id, figure } of sectionsOf(plan)) {
    if (figure) await writeFile(`${svg}/${id}.svg`, await renderSvg(figure));
  }
}

async function readFile(file: string): Promise<string> {
  return await attempt(`${file} cannot be read`, () => Deno.readTextFile(file));
}

async function writeFile(file: string, text: string): Promise<void> {
  await attempt(`${file} cannot be written`, () => Deno.writeTextFile(file, text));
}

async function attempt<Value>(failure: string, run: () => Promise<Value>): Promise<Value> {
  try {
    return await run();
  } catch (error) {
    throw new RangeError(`Cannot plan as ${failure}: ${(error as Error).message}`);
  }
}

try {
  await main(Deno.args);
} catch (error) {
  console.error(error instanceof Error ? `${error.name}: ${error.message}` : error);
  Deno.exitCode = error instanceof TypeError || error instanceof RangeError ? 2 : 1;
}
