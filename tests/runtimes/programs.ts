/** Runtimes that are programs: what they need of npm, and how they get a GPU. */
import { swiftShader } from "../../tools/swiftshader.ts";
import type { Report } from "./guest.ts";
import { judge, type Verdict } from "./verdict.ts";
import { type Guest, install, WORKSPACE } from "./workspace.ts";

/** A runtime that npm brings. */
export interface Program {
  name: string;
  /** With their versions. */
  packages: readonly string[];
  /** Its executable in `node_modules`. */
  executable: string;
  /** What a user of the runtime writes before the library can open a GPU. */
  setup: string;
  /** What runs inside it. */
  guest: Guest;
}

const { os, arch } = Deno.build;
const NODE = `node-${os}-${arch === "aarch64" ? "arm64" : "x64"}`;
const BUN = `@oven/bun-${os}-${arch === "aarch64" ? "aarch64" : "x64"}`;

/** Node, with what Dawn is told. */
function nodeWith(flag: string): Omit<Program, "name" | "guest"> {
  return {
    packages: [`${NODE}@24.21.0`, "webgpu@0.6.2"],
    executable: `${NODE}/bin/node`,
    setup: `
      import { create, globals } from "webgpu";
      Object.assign(globalThis, globals);
      navigator.gpu = create([${JSON.stringify(flag)}]);`,
  };
}

export const PROGRAMS: readonly Program[] = [
  // With its experiments, of which matrix units are one.
  { name: "node", ...nodeWith("enable-dawn-features=allow_unsafe_apis"), guest: "guest" },
  { name: "dawn", ...nodeWith("backend=null"), guest: "validation" },
  {
    name: "bun",
    packages: [`${BUN}@1.4.5`, "bun-webgpu@0.1.7"],
    executable: `${BUN}/bin/bun`,
    setup: `
      import { setupGlobals } from "bun-webgpu";
      setupGlobals();`,
    guest: "guest",
  },
];

const TIMEOUT_MS = 180_000;

let installed: Promise<void> | undefined;

/**
 * Runs the cases on the first adapter that the runtime takes: the machine's own, or SwiftShader.
 *
 * @throws {MissingError} If npm does not bring the runtime.
 */
export async function runProgram(program: Program, seed: number): Promise<Verdict> {
  const { name, setup, guest } = program;
  // All at once: npm does not work twice in one folder.
  await (installed ??= install(PROGRAMS.flatMap(({ packages }) => packages)));
  const start = `import { main } from "./${guest}.mjs";
    await main(${seed}, (report) => console.log(JSON.stringify(report)));`;
  await Deno.writeTextFile(`${WORKSPACE}${name}.mjs`, setup + start);
  const own = await runOn(program, {});
  if (own.status !== "skipped") return own;
  const env = await swiftShader();
  if (!env) return { ...own, summary: `${own.summary}; and there is no SwiftShader (chromium)` };
  const { summary, ...others } = await runOn(program, env);
  const [why] = own.summary.split(": ");
  return { ...others, summary: `${summary}; without SwiftShader: ${why}` };
}

async function runOn(
  { name, executable }: Program,
  env: Record<string, string>,
): Promise<Verdict> {
  const command = new Deno.Command(`${WORKSPACE}node_modules/${executable}`, {
    args: [`${name}.mjs`],
    cwd: WORKSPACE,
    env,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const { code, stdout, stderr } = await command.output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  const lines = out.split("\n").filter((line) => line.startsWith("{"));
  const verdict = judge(lines.map((line): Report => JSON.parse(line)));
  if (code === 0) return verdict;
  return {
    ...verdict,
    status: "failed",
    failures: [...verdict.failures, `it exited with ${code}: ${err.trim()}`],
  };
}
