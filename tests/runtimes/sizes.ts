/** How large the package is, in its tarball and in applications that use a part of it. */
import { gzipSync } from "node:zlib";
import { filesIn } from "../../tools/folders.ts";
import { START_PAGE } from "./start_page.ts";
import type { Verdict } from "./verdict.ts";
import { LIBRARY, Project } from "./workspace.ts";

/** What an application imports, and what that may take: a row of docs/start.md's table. */
export interface Size {
  /** A module that exports what is imported. */
  code: string;
  /** Its code minified and gzipped, in KB of 1000 bytes. */
  kilobytes: number;
}

/** The dependency, which is loaded where a `tokenizer.json` is read: not counted. */
const DEPENDENCY = "@huggingface/tokenizers";

/** The share of a figure that is measured: a few lines more or less are no news to who reads it. */
const RANGE = { least: 0.8, most: 1.05 };

/** The rows of docs/start.md's table: names, or all that an entry has, and a size. Pure. */
export function sizesOf(markdown: string): Size[] {
  const rows = markdown.matchAll(/^\| (`.*`|all of `.*`) +\| ([\d.]+) KB +\|$/gm);
  return [...rows].map(([, imported, kilobytes]) => {
    const names = [...imported.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
    const code = imported.startsWith("all of")
      ? `export * from "${names}";`
      : `export { ${names} } from "${LIBRARY}";`;
    return { code, kilobytes: Number(kilobytes) };
  });
}

/** What is wrong with a figure, in words. Pure. */
export function judgeSize({ code, kilobytes }: Size, bytes: number): string[] {
  const measured = `${code} takes ${bytes} bytes, and docs/start.md says ${kilobytes} KB`;
  const share = bytes / (kilobytes * 1000);
  if (share > RANGE.most) return [`${measured}: it grew`];
  return share < RANGE.least ? [`${measured}: the figure is out of date`] : [];
}

/**
 * Holds docs/start.md's figures against what esbuild makes of the package, and looks through its files.
 *
 * @throws {MissingError} If npm does not bring esbuild.
 */
export async function runSizes(): Promise<Verdict> {
  const web = await Project.install("web");
  const page = await Deno.readTextFile(START_PAGE);
  const failures = misfits(`${web.folder}node_modules/${LIBRARY}/`);
  const measured: string[] = [];
  for (const size of sizesOf(page)) {
    await web.write("size.js", size.code);
    const options = ["--bundle", "--minify", "--format=esm", `--external:${DEPENDENCY}`];
    const text = await web.runTool("esbuild", ["size.js", ...options, "--log-level=warning"]);
    if (size.code.endsWith(`"${LIBRARY}";`) && text.includes(DEPENDENCY)) {
      failures.push(`${size.code} imports ${DEPENDENCY}`);
    }
    const { length } = gzipSync(text, { level: 9 });
    failures.push(...judgeSize(size, length));
    measured.push(`${length} bytes`);
  }
  if (measured.length === 0) failures.push("docs/start.md has no table of sizes");
  const status = failures.length === 0 ? "passed" : "failed";
  return { status, summary: `minified and gzipped: ${measured.join(", ")}`, failures };
}

/** Files and dependencies that the package should not have, in words. */
function misfits(folder: string): string[] {
  const belongs = /\.(js|d\.ts|min\.mjs)$|^(LICENSE|README\.md|package\.json)$/;
  const { dependencies } = JSON.parse(Deno.readTextFileSync(`${folder}package.json`));
  return [
    ...filesIn(folder).filter((path) => !belongs.test(path)),
    ...Object.keys(dependencies).filter((name) => name !== DEPENDENCY),
  ].map((name) => `${name} is in the package`);
}
