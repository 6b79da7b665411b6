/** What TypeScript says of the package's types: of a program over all entries, and of docs/start.md's for Node. */
import { startProgram } from "./start_page.ts";
import type { Verdict } from "./verdict.ts";
import { Project } from "./workspace.ts";

const STRICT = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2023,dom"];

/** How modules are found. */
const RESOLUTIONS = ["bundler", "nodenext"] as const;

/**
 * The versions of TypeScript, and what they are told. From 6 on it has the types of WebGPU; those of `@webgpu/types`, which
 * npm's `webgpu` brings, are then there twice.
 */
const VERSIONS = [
  { tool: "tsc-5.9", all: ["--types", "@webgpu/types"], node: ["--types", "@webgpu/types"] },
  { tool: "tsc", all: [], node: ["--skipLibCheck"] },
] as const;

/**
 * Compiles the programs by each version, with each resolution of modules.
 *
 * @throws {MissingError} If npm does not bring TypeScript.
 */
export async function runTypes(): Promise<Verdict> {
  const project = await Project.install("types");
  // Modules as the Node of this package.json sees them.
  await project.write("package.json", `{ "private": true, "type": "module" }`);
  const program = new URL("all_entries.ts", import.meta.url);
  await project.write("all.ts", await Deno.readTextFile(program));
  await project.write("node.ts", (await startProgram("Node", "js")).code);
  const failures: string[] = [];
  const versions = new Set<string>();
  for (const { tool, ...options } of VERSIONS) {
    versions.add((await project.runTool(tool, ["--version"])).trim());
    for (const resolution of RESOLUTIONS) {
      const module = resolution === "bundler" ? "esnext" : resolution;
      for (const name of ["all", "node"] as const) {
        const args = ["--module", module, "--moduleResolution", resolution, ...options[name]];
        await project.runTool(tool, [...STRICT, ...args, `${name}.ts`]).catch((error: Error) => {
          failures.push(`${name}.ts, ${tool}, ${resolution}: ${error.message}`);
        });
      }
    }
  }
  const status = failures.length === 0 ? "passed" : "failed";
  return { status, summary: `strict in ${[...versions].join(", ")}; ${RESOLUTIONS}`, failures };
}
