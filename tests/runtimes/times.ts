/** `deno task runtimes --times N`: how long it takes from the import of the library to a first result, and a readback. */
import { fileURLToPath } from "node:url";
import { markdownTable } from "../../bench/report/markdown.ts";
import { median } from "../../bench/statistics.ts";
import { ONE_FILE } from "../../tools/package.ts";
import { outputOf } from "../../tools/programs.ts";
import { swiftShader } from "../../tools/swiftshader.ts";
import { withSite } from "./browser.ts";
import type { FirstResult } from "./first_result.ts";
import { type Program, PROGRAMS } from "./programs.ts";
import { LIBRARY, Project } from "./workspace.ts";

/** Runs once, in a process of its own. */
interface Timed {
  name: string;
  run(): Promise<FirstResult>;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MODULE = "first_result";

/**
 * Measures every runtime, in turns, each time in a new process.
 *
 * @param times How often.
 * @returns A table in Markdown, of medians.
 * @throws {MissingError} If something is not on this machine.
 */
export async function timesTable(times: number): Promise<string> {
  const programs = PROGRAMS.filter(({ heading }) => heading);
  const runtimes = [
    ...await inDeno(),
    ...await Promise.all(programs.map(inProgram)),
    await inChromium(),
  ];
  const results = runtimes.map((): FirstResult[] => []);
  for (let time = 0; time < times; time++) {
    for (const [i, { run }] of runtimes.entries()) results[i].push(await run());
  }
  const column = (heading: string, ms: (result: FirstResult) => number) => [
    heading,
    ...results.map((of) => `${shortMs(median(of.map(ms)))} ms`),
  ];
  return markdownTable([
    ["runtime", ...runtimes.map(({ name }) => name)],
    ["adapter", ...results.map(([{ adapter }]) => adapter)],
    column("import", (result) => result.import),
    column("open a device", ({ open }) => open),
    column("first attention", ({ attend }) => attend),
    column("in all", (result) => result.import + result.open + result.attend),
    column("a readback", ({ readback }) => readback),
  ]);
}

/** From source, on the machine's own adapter and on SwiftShader, which the others may have alone. */
async function inDeno(): Promise<Timed[]> {
  const url = JSON.stringify(new URL(`${MODULE}.ts`, import.meta.url));
  const code = `const { firstResult } = await import(${url}); ${PRINT("")}`;
  const run = async (env: Record<string, string>) =>
    parsed(await outputOf(Deno.execPath(), ["eval", code], { env, cwd: ROOT }));
  const name = `Deno ${Deno.version.deno}`;
  return [{}, await swiftShader()].flatMap((env) => env ? [{ name, run: () => run(env) }] : []);
}

/** On the first adapter that the runtime takes. */
async function inProgram(program: Program): Promise<Timed> {
  const project = await Project.install(program.project);
  await project.bundle(MODULE, `${MODULE}.mjs`);
  const start = `import { firstResult } from "./${MODULE}.mjs"; ${PRINT("gpu")}`;
  await project.write(`times.mjs`, `${program.setup}\n${start}`);
  const run = (env: Record<string, string>) =>
    outputOf(project.runtime(program.runtime), ["times.mjs"], { env, cwd: project.folder });
  const env = await run({}).then(() => ({}), swiftShader) ?? {};
  return { name: program.title, run: async () => parsed(await run(env)) };
}

/** As the one file, in a browser that was never here. */
async function inChromium(): Promise<Timed> {
  const web = await Project.install("web");
  await web.bundle(MODULE, `times/${MODULE}.mjs`);
  await web.copyOneFile("times");
  const imports = JSON.stringify({ imports: { [LIBRARY]: `./${ONE_FILE}` } });
  await web.write("times/index.html", `<script type="importmap">${imports}</script>`);
  const run = () =>
    withSite(`${web.folder}times`, async (context, address) => {
      const page = await context.newPage();
      await page.goto(address);
      const code = `import("./${MODULE}.mjs").then(({ firstResult }) => firstResult())`;
      return await page.evaluate<FirstResult>(code);
    });
  return { name: "Chromium", run };
}

/** Whole milliseconds, but for what is below ten. */
function shortMs(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : `${Math.round(ms)}`;
}

const PRINT = (source: string) => `console.log(JSON.stringify(await firstResult(${source})));`;

function parsed(printed: string): FirstResult {
  return JSON.parse(printed.trim().split("\n").at(-1)!);
}
