// Runs a task of deno.json on this machine as it is: with what is missing installed or stood in for.

import config from "../deno.json" with { type: "json" };
import { runDeno } from "./child.ts";
import { jsrAnswers, jsrSpecifiers } from "./jsr.ts";
import offline from "./offline/import_map.json" with { type: "json" };
import { commandsOf, type Tasks, withImportMap } from "./tasks.ts";
import { adapterAnswers, installSoftwareVulkan } from "./vulkan.ts";

const IMPORT_MAP = "tools/offline/import_map.json";
const GPU_TASKS = [
  "bench",
  "generate",
  "serve",
  "quality",
  "uptrain",
  "test",
  "runtimes",
  "soak",
  "load",
  "fuzz",
];
/** The value of an option that makes other tasks ask for the GPU of this machine. */
const THIS_GPU = /^(--gpu=)?this$/;

const tasks: Tasks = config.tasks;

function usage(): string {
  const names = Object.keys(tasks);
  const width = Math.max(...names.map((name) => name.length));
  return [
    "sh tools/run TASK [options]   (paths in the options are relative to the repository's root)",
    "",
    ...names.map((name) => `  ${name.padEnd(width)}  ${tasks[name].description}`),
  ].join("\n");
}

async function main(name: string | undefined, options: string[]): Promise<number> {
  if (name === undefined || name === "--help" || name === "-h") {
    console.log(usage());
    return name === undefined ? 2 : 0;
  }
  const commands = commandsOf(name, tasks, options);

  const asksForGpu = GPU_TASKS.includes(name) || options.some((option) => THIS_GPU.test(option));
  const needsGpu = asksForGpu && !options.includes("--help");
  const [hasAdapter, hasJsr] = await Promise.all([
    !needsGpu || adapterAnswers(),
    jsrAnswers(jsrSpecifiers(config.imports, offline.imports)),
  ]);
  if (!hasAdapter) await installSoftwareVulkan();
  if (!hasJsr) console.error("JSR does not answer: using the stand-ins in tools/offline for @std.");

  for (const command of commands) {
    const args = hasJsr ? command : withImportMap(command, IMPORT_MAP);
    const code = await runDeno(args);
    if (code !== 0) return code;
  }
  return 0;
}

const [name, ...options] = Deno.args;
try {
  Deno.exit(await main(name, options));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
