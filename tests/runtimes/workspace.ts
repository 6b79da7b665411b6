/** Folders in which the package is used as its users do: with nothing in them but what npm installs. */
import { fileURLToPath } from "node:url";
import { emptyFolder } from "../../tools/folders.ts";
import { ONE_FILE, writePackage } from "../../tools/package.ts";
import { outputOf } from "../../tools/programs.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const WORKSPACE = `${ROOT}dist/runtimes/`;

/** The name by which programs import the library. */
export const LIBRARY = "@onehead/attention";

/** Something that a runtime needs is not on this machine: no defect, but not tested either. */
export class MissingError extends Error {}

const { os, arch } = Deno.build;
const NODE = `node-${os}-${arch === "aarch64" ? "arm64" : "x64"}`;
const BUN = `@oven/bun-${os}-${arch === "aarch64" ? "aarch64" : "x64"}`;

/** What npm installs beside the library, with versions: runtimes and tools are of the tests alone. */
const PACKAGES = {
  node24: [`${NODE}@24.21.0`, "webgpu@0.6.2"],
  node22: [`${NODE}@22.23.3`, "webgpu@0.6.2"],
  bun: [`${BUN}@1.4.5`, "bun-webgpu@0.1.7"],
  web: ["vite@8.3.8", "esbuild@0.28.2"],
  types: [
    ...["typescript@7.0.2", "typescript-5.9@npm:typescript@5.9.3"],
    ...["@webgpu/types@0.1.74", "webgpu@0.6.2", "@types/node@24.10.1"],
    ...["transport-node@3.4.0", "services@3.0.0-25", "jetstream@3.4.0"]
      .map((name) => `@nats-io/${name}` as const),
  ],
} as const;

export type ProjectName = keyof typeof PACKAGES;

/** The runtimes' programs, from a project's folder. */
const RUNTIMES = {
  node: `node_modules/${NODE}/bin/node`,
  bun: `node_modules/${BUN}/bin/bun`,
} as const;

/** Tools that run in Node. */
const TOOLS = {
  vite: "node_modules/vite/bin/vite.js",
  esbuild: "node_modules/esbuild/bin/esbuild",
  tsc: "node_modules/typescript/bin/tsc",
  "tsc-5.9": "node_modules/typescript-5.9/bin/tsc",
} as const;

/** A folder with the library and other packages installed. */
export class Project {
  static readonly #installed = new Map<ProjectName, Promise<Project>>();

  /** Where it is; ends in a slash. */
  readonly folder: string;
  /** The packages beside the library, with versions. */
  readonly packages: readonly string[];

  private constructor(name: ProjectName) {
    this.folder = `${WORKSPACE}${name}/`;
    this.packages = PACKAGES[name];
  }

  /**
   * Installs into an empty folder, once.
   *
   * @throws {MissingError} If npm is not there, or does not get the packages.
   */
  static install(name: ProjectName): Promise<Project> {
    let project = Project.#installed.get(name);
    if (!project) Project.#installed.set(name, project = new Project(name).#install());
    return project;
  }

  async #install(): Promise<Project> {
    const library = await tarball();
    await emptyFolder(this.folder);
    await this.write("package.json", `{ "private": true }`);
    try {
      await this.#npmInstall(...this.packages);
    } catch (error) {
      const names = this.packages.join(", ");
      throw new MissingError(`npm does not bring ${names}: ${(error as Error).message}`);
    }
    // By itself: if this one fails, the library is at fault.
    await this.#npmInstall(library);
    return this;
  }

  async #npmInstall(...packages: readonly string[]): Promise<void> {
    const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    const args = ["install", ...options, "--save-exact", ...packages];
    await outputOf("npm", args, { cwd: this.folder });
  }

  /** The path of a runtime's program. */
  runtime(name: keyof typeof RUNTIMES): string {
    return this.folder + RUNTIMES[name];
  }

  /** Writes a file, and the folder that it is in. */
  async write(path: string, text: string): Promise<void> {
    const folder = `${this.folder}${path}`.replace(/[^/]*$/, "");
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(this.folder + path, text);
  }

  /** Copies the library as one file from its package into a folder. */
  async copyOneFile(folder: string): Promise<void> {
    await Deno.mkdir(this.folder + folder, { recursive: true });
    const file = `${this.folder}node_modules/${LIBRARY}/${ONE_FILE}`;
    await Deno.copyFile(file, `${this.folder}${folder}/${ONE_FILE}`);
  }

  /** Bundles a module of this folder into a file that imports the library as it is installed. */
  async bundle(module: string, path: string): Promise<void> {
    const options = ["--quiet", "--platform", "browser", "--external", LIBRARY];
    const output = ["--output", this.folder + path];
    const args = ["bundle", ...options, ...output, `tests/runtimes/${module}.ts`];
    await outputOf(Deno.execPath(), args, { cwd: ROOT });
  }

  /** Runs a tool in it to its end, and returns what it printed. */
  async runTool(name: keyof typeof TOOLS, args: readonly string[]): Promise<string> {
    return await outputOf(await node(), [TOOLS[name], ...args], { cwd: this.folder });
  }

  /** Starts a tool in it. */
  async spawnTool(name: keyof typeof TOOLS, args: readonly string[]): Promise<Deno.ChildProcess> {
    const options = { cwd: this.folder, stdin: "null", stdout: "piped" } as const;
    return new Deno.Command(await node(), { ...options, args: [TOOLS[name], ...args] }).spawn();
  }
}

/** The Node that tools run in, whatever this machine's is. */
async function node(): Promise<string> {
  return (await Project.install("node24")).runtime("node");
}

/**
 * Asks for a program of this machine.
 *
 * @throws {MissingError} If it is not there.
 */
export async function needProgram(name: string): Promise<void> {
  try {
    await outputOf(name, ["--version"]);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new MissingError(`${name} is not installed`);
    throw error;
  }
}

let written: Promise<string> | undefined;

/** The path of the library's tarball, written once from the source as it is. */
function tarball(): Promise<string> {
  return written ??= needProgram("npm").then(() => writePackage());
}
