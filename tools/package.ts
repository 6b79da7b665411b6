// Writes the package for npm from what JSR gets: dist/npm/, and beside it the tarball.

import { fileURLToPath } from "node:url";
import { Arguments } from "../cli/shared/arguments.ts";
import { exitCodeOf, terminal } from "../cli/shared/run.ts";
import config from "../deno.json" with { type: "json" };
import { emptyFolder, filesIn } from "./folders.ts";
import { outputOf } from "./programs.ts";

const REPOSITORY = "https://github.com/onehead/attention";

const HELP =
  `Writes the package for npm into dist/npm/, and its tarball beside it. npm and tar must be installed.

Usage: deno task package [options]

  --repository URL  where the source is: links lead there (default: ${REPOSITORY})
  --help            this text`;

/** The library as one file, for pages without a build. */
export const ONE_FILE = "onehead.min.mjs";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const DIST = `${ROOT}dist/`;
const FOLDER = `${DIST}npm/`;

/** What package.json says beyond what `deno pack` takes from deno.json. */
const DESCRIBED = {
  description:
    "Multi-query, grouped-query and multi-head attention on WebGPU, with KV caches on the GPU",
  keywords: [
    ...["webgpu", "wgsl", "gpu", "attention", "multi-query-attention", "grouped-query-attention"],
    ...["mqa", "gqa", "kv-cache", "transformer", "llm", "inference"],
  ],
  sideEffects: false,
  engines: { node: ">=22" },
  // What networks that serve files of npm packages give to pages that name no file.
  jsdelivr: `./${ONE_FILE}`,
  unpkg: `./${ONE_FILE}`,
};

/** Packages that the entry of clusters needs alone: whoever imports it installs them. */
const OPTIONAL = /^@nats-io\//;

/** A package.json, as far as it counts here. */
export interface Manifest {
  dependencies?: Record<string, string>;
  exports: Record<string, unknown>;
  [field: string]: unknown;
}

/** The package.json of the package, from the one that `deno pack` writes. Pure. */
export function manifestOf(packed: Manifest, repository: string): Manifest {
  const dependencies = Object.entries(packed.dependencies ?? {});
  const optional = dependencies.filter(([name]) => OPTIONAL.test(name));
  return {
    ...packed,
    ...DESCRIBED,
    dependencies: Object.fromEntries(dependencies.filter(([name]) => !OPTIONAL.test(name))),
    peerDependencies: Object.fromEntries(optional),
    peerDependenciesMeta: Object.fromEntries(optional.map(([name]) => [name, { optional: true }])),
    homepage: `${repository}#readme`,
    bugs: `${repository}/issues`,
    repository: { type: "git", url: `git+${repository}.git` },
    exports: {
      ...packed.exports,
      [`./${ONE_FILE}`]: { types: "./mod.d.ts", default: `./${ONE_FILE}` },
    },
  };
}

/** What stays as it is, code in fences and in line; then a link or an image: its text, and where it leads. */
const LINKS = /^```[^]*?^```$|`[^`\n]*`(?!\])|(!?)(\[[^\]]*\])\(([^)\s]+)\)/gm;

/**
 * A page whose relative links lead to the repository instead, as the package lacks what they name. Pure.
 *
 * @param markdown The page, from the root of the repository.
 * @param repository Where the repository is.
 * @param tag The version of it.
 */
export function withAbsoluteLinks(markdown: string, repository: string, tag: string): string {
  return markdown.replace(LINKS, (whole, image, text, target) => {
    if (target === undefined || /^(#|[a-z]+:)/.test(target)) return whole;
    return `${image}${text}(${repository}/${image ? "raw" : "blob"}/${tag}/${target})`;
  });
}

/** Writes the package, and returns the path of its tarball. */
export async function writePackage(repository: string = REPOSITORY): Promise<string> {
  const deno = Deno.execPath();
  await emptyFolder(FOLDER);
  const packed = `${FOLDER}packed.tgz`;
  await inRoot(deno, "pack", "--no-source-maps", "--allow-dirty", "--output", packed);
  await inRoot("tar", "-xzf", packed, "-C", FOLDER, "--strip-components", "1");
  await Deno.remove(packed);
  // Sources that no entry imports are packed as they are.
  const sources = filesIn(FOLDER).filter((path) => /(?<!\.d)\.ts$/.test(path));
  await Promise.all(sources.map((path) => Deno.remove(FOLDER + path)));
  await inRoot(deno, "task", "--quiet", "bundle");
  await Deno.copyFile(`${DIST}${ONE_FILE}`, `${FOLDER}${ONE_FILE}`);
  await edit("package.json", (text) => {
    return `${JSON.stringify(manifestOf(JSON.parse(text), repository), null, 2)}\n`;
  });
  await edit("README.md", (text) => withAbsoluteLinks(text, repository, `v${config.version}`));
  const said = await inRoot("npm", "pack", FOLDER, "--pack-destination", DIST, "--json");
  const [{ filename }] = JSON.parse(said);
  return DIST + filename;
}

function inRoot(program: string, ...args: string[]): Promise<string> {
  return outputOf(program, args, { cwd: ROOT });
}

async function edit(name: string, change: (text: string) => string): Promise<void> {
  await Deno.writeTextFile(FOLDER + name, change(await Deno.readTextFile(FOLDER + name)));
}

if (import.meta.main) {
  const run = async () => {
    const options = new Arguments("write the package", Deno.args, { names: ["repository"] });
    if (options.isHelp) return terminal.log(HELP);
    const tarball = await writePackage(options.text("repository"));
    const { size } = await Deno.stat(tarball);
    terminal.log(`${tarball.slice(ROOT.length)}: ${Math.round(size / 1024)} KiB, of dist/npm/`);
  };
  Deno.exit(await exitCodeOf(run, terminal));
}
