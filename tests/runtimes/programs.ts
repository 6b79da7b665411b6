/** The cases in runtimes that are programs, with the library installed from its tarball. */
import { swiftShader } from "../../tools/swiftshader.ts";
import { compose } from "../../src/gpu/compose.ts";
import { everyModule, fewOf } from "../support/modules.ts";
import type { Report } from "./guest.ts";
import { misprints, startProgram, uninstalled } from "./start_page.ts";
import { judge, type Verdict } from "./verdict.ts";
import { Project, type ProjectName } from "./workspace.ts";

/** A runtime that npm brings. */
export interface Program {
  name: string;
  /** What people call it. */
  title: string;
  project: ProjectName;
  runtime: "node" | "bun";
  /** Makes `gpu`, as a user of the runtime does. */
  setup: string;
  /** What runs inside it: a module of this folder. */
  guest: "guest" | "validation";
  /** The heading in docs/start.md below which its users find a program. */
  heading?: string;
}

/** How Node gets a GPU, with what Dawn is told. */
function inNode(flag: string): Pick<Program, "runtime" | "setup"> {
  const setup = `import { create } from "webgpu";
    const gpu = create([${JSON.stringify(flag)}]);`;
  return { runtime: "node", setup };
}

/** With the experiments of Dawn, of which matrix units are one. */
const CASES_IN_NODE = {
  ...inNode("enable-dawn-features=allow_unsafe_apis"),
  guest: "guest",
} as const;

export const PROGRAMS: readonly Program[] = [
  {
    name: "dawn",
    title: "Dawn",
    project: "node24",
    guest: "validation",
    ...inNode("backend=null"),
  },
  { name: "node24", title: "Node 24", project: "node24", heading: "Node", ...CASES_IN_NODE },
  { name: "node22", title: "Node 22", project: "node22", heading: "Node", ...CASES_IN_NODE },
  {
    ...{ name: "bun", title: "Bun 1.4", project: "bun", guest: "guest", runtime: "bun" },
    heading: "Bun",
    setup: `import { createGPUInstance } from "bun-webgpu";
      const gpu = createGPUInstance();`,
  },
];

const TIMEOUT_MS = 600_000;

/**
 * Runs the cases on the first adapter that the runtime takes, the machine's own or SwiftShader, and there docs/start.md's program
 * for the runtime.
 *
 * @throws {MissingError} If npm does not bring the runtime.
 */
export async function runProgram(program: Program, seed: number): Promise<Verdict> {
  const { name, setup, guest } = program;
  const project = await Project.install(program.project);
  await project.bundle(guest, `${guest}.mjs`);
  if (guest === "validation") await project.write("modules.json", JSON.stringify(modulesOfGpus()));
  const start = `import { main } from "./${guest}.mjs";
    await main(${seed}, (report) => console.log(JSON.stringify(report)), gpu);`;
  await project.write(`${name}.mjs`, `${setup}\n${start}`);

  const own = await runOn(program, project, {});
  if (own.status !== "skipped") return own;
  const env = await swiftShader();
  if (!env) return { ...own, summary: `${own.summary}; and there is no SwiftShader (chromium)` };
  const { summary, ...others } = await runOn(program, project, env);
  const [why] = own.summary.split(": ");
  return { ...others, summary: `${summary}; without SwiftShader: ${why}` };
}

/** The modules of the library, without those of features that a null device lacks. */
function modulesOfGpus(): string[] {
  return fewOf(everyModule(1)).map((module) => compose(module, { enableSubgroups: true }).code)
    .filter((code) => !/\bsubgroup_matrix|\bu64\b/.test(code));
}

async function runOn(program: Program, project: Project, env: Environment): Promise<Verdict> {
  const { code, out, err } = await run(program, project, `${program.name}.mjs`, env);
  const lines = out.filter((line) => line.startsWith("{"));
  const verdict = judge(lines.map((line): Report => JSON.parse(line)));
  if (code !== 0) return withFailures(verdict, [`it exited with ${code}: ${err}`]);
  if (!program.heading || verdict.status === "skipped") return verdict;
  const failures = await runReadme(program.heading, program, project, env);
  const summary = `${verdict.summary}; runs docs/start.md's program`;
  return withFailures({ ...verdict, summary }, failures);
}

/** What docs/start.md's program below a heading does that it does not say. */
async function runReadme(
  heading: string,
  program: Program,
  project: Project,
  env: Environment,
): Promise<string[]> {
  const shown = await startProgram(heading, "js");
  const path = `${program.name}_readme.mjs`;
  await project.write(path, shown.code);
  const { code, out, err } = await run(program, project, path, env);
  const wrong = code === 0 ? misprints(shown, out) : [`docs/start.md's program: ${err}`];
  return [...uninstalled(shown, project.packages), ...wrong];
}

function withFailures(verdict: Verdict, failures: readonly string[]): Verdict {
  if (failures.length === 0) return verdict;
  return { ...verdict, status: "failed", failures: [...verdict.failures, ...failures] };
}

type Environment = Record<string, string>;

async function run(
  { runtime }: Program,
  project: Project,
  path: string,
  env: Environment,
): Promise<{ code: number; out: string[]; err: string }> {
  const command = new Deno.Command(project.runtime(runtime), {
    args: [path],
    cwd: project.folder,
    env,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const { code, stdout, stderr } = await command.output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  return { code, out: out.split("\n"), err };
}
