/** `deno run bench`: the command line around the measurements. */
import { Gpu } from "../mod.ts";
import { parseOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { formatJson } from "./report/json.ts";
import { formatTable } from "./report/table.ts";
import type { Report, Result, Roofline } from "./result.ts";
import { measureRoofline } from "./roofline.ts";
import { runGroup } from "./run.ts";

/** Runs the bench; the exit code is not 0 where a row failed. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "string") {
    console.log(options);
    return 0;
  }
  for (const file of [options.json, options.svg]) if (file) await checkWritable(file);

  const gpu = await Gpu.open();
  const progress = new Progress(options.groups.length + 1);
  progress.step("roofline of the adapter");
  const roofline = await measureRoofline(gpu, options.effort);
  const results: Result[] = [];
  for (const group of options.groups) {
    const { name, phase, contextLen, dtype } = group[0];
    progress.step(`${name} ${phase} ${contextLen} ${dtype}`);
    results.push(...await runGroup(gpu, group, { effort: options.effort, roofline }));
  }
  progress.end();

  const report = reportOf(gpu, roofline, results);
  console.log(formatTable(report));
  if (options.json) await Deno.writeTextFile(options.json, formatJson(report));
  if (options.svg) {
    const { renderChart } = await import("./report/chart.ts");
    await Deno.writeTextFile(options.svg, await renderChart(report));
  }
  gpu.destroy();
  return results.some(({ failure }) => failure) ? 1 : 0;
}

function reportOf(gpu: Gpu, roofline: Roofline, results: Result[]): Report {
  const { description, isSoftware } = gpu.description;
  const features = [...gpu.device.features].sort();
  return { schema: 1, adapter: { description, features, isSoftware }, roofline, results };
}

/** Throws now what would otherwise be thrown after minutes of measuring. */
async function checkWritable(file: string): Promise<void> {
  try {
    (await Deno.open(file, { write: true, create: true })).close();
  } catch (error) {
    throw new RangeError(
      `Cannot run the bench as ${file} cannot be written (choose another path): ${
        (error as Error).message
      }`,
    );
  }
}

try {
  Deno.exitCode = await main(Deno.args);
} catch (error) {
  console.error(error instanceof Error ? `${error.name}: ${error.message}` : error);
  Deno.exitCode = 1;
}
