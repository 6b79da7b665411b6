/** The folder in which other runtimes run: the library's bundle, the cases, and packages of npm. Kept between runs. */
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);
const LIBRARY = "@onehead/attention";

/** Where it is. */
export const WORKSPACE = fileURLToPath(new URL("dist/runtimes/", ROOT));

/** What runs inside runtimes: modules of this folder, by name. */
const GUESTS = ["guest", "validation"] as const;
export type Guest = typeof GUESTS[number];

/** Something that a runtime needs is not on this machine: no defect, but not tested either. */
export class MissingError extends Error {}

/** Bundles the library as its users do, and the cases, which find it as a package. */
export async function prepareWorkspace(): Promise<void> {
  await Deno.mkdir(WORKSPACE, { recursive: true });
  await bundleLibrary(`${WORKSPACE}onehead.mjs`);
  for (const guest of GUESTS) {
    const output = `${WORKSPACE}${guest}.mjs`;
    await bundle(`tests/runtimes/${guest}.ts`, output, ["--external", LIBRARY]);
  }
  const path = `${WORKSPACE}package.json`;
  const { dependencies } = JSON.parse(await Deno.readTextFile(path).catch(() => "{}"));
  // By this name, a package finds itself.
  const itself = { name: LIBRARY, private: true, type: "module", exports: "./onehead.mjs" };
  await Deno.writeTextFile(path, JSON.stringify({ ...itself, dependencies }));
}

/** Bundles the library into one file. */
export async function bundleLibrary(output: string): Promise<void> {
  await bundle("mod.ts", output);
}

async function bundle(entry: string, output: string, options: string[] = []): Promise<void> {
  const args = ["bundle", "--quiet", "--platform", "browser", ...options, "--output", output];
  await run(Deno.execPath(), [...args, fileURLToPath(new URL(entry, ROOT))], fileURLToPath(ROOT));
}

/**
 * Installs packages beside those that are there.
 *
 * @throws {MissingError} If npm is not there, or does not get them.
 */
export async function install(packages: readonly string[]): Promise<void> {
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
  try {
    await run("npm", ["install", ...options, "--save-exact", ...packages], WORKSPACE);
  } catch (error) {
    throw new MissingError(
      `npm does not bring ${packages.join(", ")}: ${(error as Error).message}`,
    );
  }
}

async function run(program: string, args: string[], cwd: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, cwd }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
}
