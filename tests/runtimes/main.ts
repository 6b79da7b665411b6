/** `deno task runtimes`: the same cases in every runtime, and the package as its users have it. */
import { Arguments } from "../../cli/shared/arguments.ts";
import { exitCodeOf, terminal } from "../../cli/shared/run.ts";
import { EXAMPLES, runExample } from "./examples.ts";
import { main as runGuest, type Report } from "./guest.ts";
import { PROGRAMS, runProgram } from "./programs.ts";
import { runPublish } from "./publish.ts";
import { runSizes } from "./sizes.ts";
import { runTypes } from "./types.ts";
import { judge, type Verdict } from "./verdict.ts";
import { MissingError } from "./workspace.ts";

const HELP =
  `Checks attention against the float64 reference in every runtime that this machine can have, and the package there.

Usage: deno task runtimes [options]

  --only NAMES   separated by commas (default: all):
                   deno                 the cases, from source
                   node24, node22, bun  the cases and docs/start.md's program, from the package
                   chromium             the cases in a page that Vite builds from the package
                   web                  docs/start.md's programs for pages, by bundlers and as one file
                   types                the package's types in two versions of TypeScript
                   sizes                what is in the package, and docs/start.md's figures
                   publish              the steps of the workflow that publishes, without publishing
                   dawn                 what Dawn says of the kernels for GPUs, which nothing then runs
                   demo                 the page in examples/browser
                   tfjs, onnx           the examples that share their device
  --times NUMBER instead measures, so many times, how long it takes from an import to a first result, and prints the medians
  --seed NUMBER  repeats a run (default: a fresh one)
  --help         this text

The package is written and installed into folders of dist/runtimes, beside what npm brings of runtimes and tools. Chromium must
be installed; it also brings SwiftShader, which Node and Bun run on where they do not take the machine's own adapter. What is
missing is said, and skipped.`;

type Run = (seed: number) => Promise<Verdict>;

const RUNTIMES: Readonly<Record<string, Run>> = {
  deno: runDeno,
  ...Object.fromEntries(
    PROGRAMS.map((program) => [program.name, (seed: number) => runProgram(program, seed)]),
  ),
  // Playwright is fetched when it is asked for.
  chromium: async (seed) => (await import("./web.ts")).runChromium(seed),
  types: runTypes,
  sizes: runSizes,
  publish: runPublish,
  web: async () => (await import("./web.ts")).runWeb(),
  demo: async () => (await import("./demo.ts")).runDemo(),
  ...Object.fromEntries(
    Object.entries(EXAMPLES).map(([name, example]) => [name, () => runExample(example)]),
  ),
};

async function runDeno(seed: number): Promise<Verdict> {
  const reports: Report[] = [];
  await runGuest(seed, (report) => reports.push(report));
  return judge(reports);
}

/** Runs one, and turns what is missing into a word. */
async function attempt(run: Run, seed: number): Promise<Verdict> {
  try {
    return await run(seed);
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    // A package that npm does not bring is no module.
    if (error instanceof MissingError || code === "ERR_MODULE_NOT_FOUND") {
      return { status: "skipped", summary: message, failures: [] };
    }
    return { status: "failed", summary: "it did not run", failures: [String(error)] };
  }
}

async function main(): Promise<void> {
  const options = new Arguments("run", Deno.args, { names: ["only", "seed", "times"] });
  if (options.isHelp) return terminal.log(HELP);
  const times = options.number("times", { min: 1 });
  if (times !== undefined) {
    const { timesTable } = await import("./times.ts");
    return terminal.log(await timesTable(times));
  }
  const names = options.choices("only", Object.keys(RUNTIMES)) ?? Object.keys(RUNTIMES);
  const seed = options.number("seed", { min: 0, max: 2 ** 32 - 1 }) ??
    crypto.getRandomValues(new Uint32Array(1))[0];

  terminal.log(`Runs ${names.join(", ")}, seed ${seed}`);
  const failed: string[] = [];
  const waiting = [...names];
  const runInTurn = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const start = performance.now();
      const { status, summary, failures } = await attempt(RUNTIMES[name], seed);
      const seconds = Math.round((performance.now() - start) / 1000);
      terminal.log(`${name.padEnd(8)} ${status}: ${summary} (${seconds} s)`);
      for (const failure of failures) terminal.log(`         ${failure}`);
      if (status === "failed") failed.push(name);
    }
  };
  // As many at a time as there are cores: each of them mostly waits for one thread that compiles kernels.
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, runInTurn));
  if (failed.length > 0) throw new Error(`Failed: ${failed.join(", ")}`);
}

// Playwright and ONNX Runtime leave things open.
Deno.exit(await exitCodeOf(main, terminal));
