/** The bench's command: from arguments to results, around the measurements. */
import { openFile, Safetensors } from "../src/checkpoints/mod.ts";
import type { AwaitedCluster } from "../cli/shared/cluster/options.ts";
import { Files } from "../cli/shared/files.ts";
import { exitCodeOf, type Out } from "../cli/shared/run.ts";
import { Gpu } from "../mod.ts";
import { adapterOf } from "./adapter.ts";
import { explainCases, kernelsOfCases } from "./explain.ts";
import { FirstUses } from "./first_use.ts";
import { type CapturedLayer, readLayers } from "./capture.ts";
import { measureCeilings } from "./ceilings.ts";
import { type BenchOptions, parseOptions } from "./options.ts";
import { featuresOf } from "./matrix/features.ts";
import { type Cell, tryFeatures } from "./matrix/matrix.ts";
import { compareGroup, stepsOf } from "./peers/compare.ts";
import { loadPeers, PEERS } from "./peers/mod.ts";
import { onehead } from "./peers/onehead.ts";
import { formatJson } from "./report/json.ts";
import { formatMatrix } from "./report/matrix.ts";
import { formatTable, formatTuned } from "./report/table.ts";
import type { FirstUse, Report, Result, Roofline } from "./result.ts";
import { runGroup } from "./run.ts";
import { runLayer } from "./run_capture.ts";
import { casesByRows, tune, type TuneEffort, tuningOf } from "./tune.ts";

/** The step of progress while peers are fetched and loaded. */
const LOADING = "loading peers";

const files = new Files("run the bench");

/** Runs the command and returns its exit code, which is 1 also where a row failed. */
export async function runCommand(args: readonly string[], out: Out): Promise<number> {
  let results: readonly Pick<Result, "failure">[] = [];
  const code = await exitCodeOf(async () => {
    results = await run(args, out);
  }, out);
  return code === 0 && results.some(({ failure }) => failure) ? 1 : code;
}

/** Does what the arguments ask for, and returns what was measured. */
async function run(args: readonly string[], out: Out): Promise<Pick<Result, "failure">[]> {
  const options = parseOptions(args);
  if (typeof options === "string") {
    out.log(options);
    return [];
  }
  await files.checkWritable(options.json, options.svg, options.html);

  const needsPeers = options.peers || options.matrix;
  // Only the native addon of one of them needs it.
  if (!needsPeers) await Deno.permissions.revoke({ name: "ffi" });
  if (options.cluster) return await measureElsewhere(options, options.cluster, out);

  const layers = options.input ? await readInput(options.input) : [];
  const gpu = await Gpu.open();
  try {
    if (options.explain) explainAll(gpu, options, out);
    else if (options.matrix) await tryAndWrite(gpu, options, out);
    else if (options.tune) await tuneAndWrite(gpu, options, options.tune, out);
    else return await measureAndWrite(gpu, options, layers, out);
    return [];
  } finally {
    gpu.destroy();
  }
}

/** Has the adapters of workers measured, and writes and shows what came of it. */
async function measureElsewhere(
  { asked, isInTurns, json }: BenchOptions,
  cluster: AwaitedCluster,
  out: Pick<Out, "log" | "error">,
): Promise<Pick<Result, "failure">[]> {
  const [{ measureAdapters }, { formatAdapters }] = await Promise.all([
    import("./adapters/measure.ts"),
    import("./adapters/table.ts"),
  ]);
  const adapters = await measureAdapters(cluster, asked, { isInTurns, out });
  out.log(formatAdapters(adapters));
  if (json) await files.write(json, JSON.stringify({ schema: 1, adapters }, null, 2) + "\n");
  return adapters.flatMap(({ failure, report }) => [{ failure }, ...report?.results ?? []]);
}

function explainAll(gpu: Gpu, { explain, groups }: BenchOptions, out: Pick<Out, "log">): void {
  const explainEach = explain === "plan" ? explainCases : kernelsOfCases;
  out.log(explainEach(gpu, groups.flat()));
}

/** Measures all cases, and writes and shows what came of it. */
async function measureAndWrite(
  gpu: Gpu,
  options: BenchOptions,
  layers: readonly CapturedLayer[],
  out: Out,
): Promise<Result[]> {
  const report = await measureAll(gpu, options, layers, out);
  out.log(formatTable(report));
  if (options.json) await files.write(options.json, formatJson(report));
  if (options.svg) {
    const { renderChart } = await import("./report/chart.ts");
    await files.write(options.svg, await renderChart(report));
  }
  if (options.html) {
    const { formatHtml } = await import("./report/html.ts");
    await files.write(options.html, await formatHtml(report));
  }
  return report.results;
}

async function measureAll(
  gpu: Gpu,
  options: BenchOptions,
  layers: readonly CapturedLayer[],
  out: Pick<Out, "progress">,
): Promise<Report> {
  const runs = options.input ? layerRuns(layers, options) : groupRuns(options);
  const peerSteps = options.groups.map((group) => stepsOf(group, PEERS.length));
  const steps = 1 + runs.length + (options.peers ? peerSteps.reduce((a, b) => a + b, 1) : 0);
  using progress = out.progress(steps);
  progress.step("roofline of the adapter");
  const firstUses = new FirstUses();
  const roofline = await measureCeilings(gpu, options, firstUses);
  const results: Result[] = [];
  for (const { title, run } of runs) {
    progress.step(title);
    results.push(...await run(gpu, { roofline, firstUses }));
  }
  const report = reportOf(gpu, roofline, firstUses.rows, results);
  if (options.peers) {
    report.peers = [];
    progress.step(LOADING);
    const peers = await loadPeers();
    const measuring = { effort: options.effort, progress };
    for (const group of options.groups) {
      report.peers.push(...await compareGroup(gpu, group, peers, measuring));
    }
  }
  return report;
}

/** Something to measure, by the title that progress shows. */
interface Run {
  title: string;
  run(gpu: Gpu, shared: Shared): Promise<Result[]>;
}

/** The values that all runs share. */
interface Shared {
  roofline: Roofline;
  firstUses: FirstUses;
}

function groupRuns({ groups, effort }: BenchOptions): Run[] {
  return groups.map((group) => {
    const { name, phase, contextLen, dtype } = group[0];
    return {
      title: `${name} ${phase} ${contextLen} ${dtype}`,
      run: (gpu, shared) => runGroup(gpu, group, { effort, ...shared }),
    };
  });
}

function layerRuns(
  layers: readonly CapturedLayer[],
  { phases, dtypes, impls, effort }: BenchOptions,
): Run[] {
  return layers.flatMap((layer) =>
    phases.flatMap((phase) =>
      dtypes.flatMap((dtype) =>
        impls.map((impl) => ({
          title: `${layer.name} ${phase} ${dtype} ${impl}`,
          run: (gpu, { roofline }) =>
            runLayer(gpu, layer, { phase, dtype, impl, effort, roofline }),
        }))
      )
    )
  );
}

/** Tries features on this library and on its peers, and writes and shows what came of it. */
async function tryAndWrite(gpu: Gpu, { json }: BenchOptions, out: Out): Promise<void> {
  const cells = await tryAll(gpu, out);
  const adapter = adapterOf(gpu);
  out.log(formatMatrix(adapter.description, cells));
  if (!json) return;
  await files.write(json, JSON.stringify({ schema: 1, adapter, cells }, null, 2) + "\n");
}

async function tryAll(gpu: Gpu, out: Pick<Out, "progress">): Promise<Cell[]> {
  const features = featuresOf(gpu.profile.subgroupSize);
  using progress = out.progress(features.length * (PEERS.length + 1) + 1);
  progress.step(LOADING);
  const systems = [{ ...onehead(gpu, "auto"), name: "Onehead" }, ...await loadPeers()];
  return await tryFeatures(features, systems, progress);
}

/** Searches tile sizes, and writes and shows what was found. */
async function tuneAndWrite(
  gpu: Gpu,
  { groups, json }: BenchOptions,
  effort: TuneEffort,
  out: Out,
): Promise<void> {
  const tuned = await tune(gpu, casesByRows(groups.flat(), effort.shapes), effort, out);
  out.log(formatTuned(tuned));
  await files.write(json!, JSON.stringify(tuningOf(gpu, tuned), null, 2) + "\n");
  out.log(`Written to ${json}: Attention.create(gpu, { ..., tuning })`);
}

async function readInput(path: string): Promise<CapturedLayer[]> {
  const file = await Safetensors.open(await openFile(path));
  try {
    return await readLayers(file);
  } finally {
    await file.close();
  }
}

function reportOf(
  gpu: Gpu,
  roofline: Roofline,
  firstUse: FirstUse[],
  results: Result[],
): Report {
  return { schema: 1, adapter: adapterOf(gpu), roofline, firstUse, results };
}
