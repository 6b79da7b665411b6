/** The steps of the workflow that publishes, in a copy of the repository; what would publish is a dry run. */
import { fileURLToPath } from "node:url";
import { outputOf } from "../../tools/programs.ts";
import type { Verdict } from "./verdict.ts";
import { needProgram } from "./workspace.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const WORKFLOW = ".github/workflows/publish.yml";

/** The commands of a workflow's steps, in order: behind `run:`, or below `run: |`. Pure. */
export function stepsOf(workflow: string): string[] {
  const steps = workflow.matchAll(/^( *)- run: (?:\|\n((?:\1 {4}.*\n|\n)+)|(.+)\n)/gm);
  return [...steps].map(([, indent, block, line]) =>
    line ?? block.replaceAll(new RegExp(`^${indent} {4}`, "gm"), "")
  );
}

/**
 * Runs the steps for a tag of the version, with the changelog's section dated; and for what must not be published.
 *
 * @throws {MissingError} If git or npm is not there.
 */
export async function runPublish(): Promise<Verdict> {
  for (const name of ["git", "npm"]) await needProgram(name);
  const folder = await Deno.makeTempDir();
  try {
    return await publishFrom(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function publishFrom(folder: string): Promise<Verdict> {
  await copyTracked(folder);
  const { version } = JSON.parse(await Deno.readTextFile(`${folder}/deno.json`));
  const [check, ...publish] = stepsOf(await Deno.readTextFile(`${folder}/${WORKFLOW}`));
  const failures: string[] = [];
  const expect = async (what: string, command: string, tag: string, isRight: boolean) => {
    const why = await failureOf(folder, command, tag);
    if ((why === undefined) !== isRight) failures.push(`${what}: ${why ?? "it is not refused"}`);
  };

  const path = `${folder}/CHANGELOG.md`;
  const changelog = await Deno.readTextFile(path);
  const heading = new RegExp(`^## \\[${version}\\].*$`, "m");
  await Deno.writeTextFile(path, changelog.replace(heading, `## [${version}] - Unreleased`));
  await expect("a version without a date", check, `v${version}`, false);
  await Deno.writeTextFile(path, changelog.replace(heading, `## [${version}] - 2026-01-31`));
  await expect("another version's tag", check, "v99.0.0", false);
  for (const command of [check, ...publish]) {
    const dry = command.replace(/^(deno|npm) publish.*/, "$& --dry-run");
    await expect(command, dry, `v${version}`, true);
  }
  const status = failures.length === 0 ? "passed" : "failed";
  const summary = `${1 + publish.length} steps of ${WORKFLOW}, publishing dry`;
  return { status, summary, failures };
}

async function copyTracked(folder: string): Promise<void> {
  // Whoever owns the clone: git refuses another's.
  const listed = await outputOf("git", ["-c", "safe.directory=*", "ls-files"], { cwd: ROOT });
  for (const path of listed.trim().split("\n")) {
    await Deno.mkdir(`${folder}/${path}`.replace(/[^/]*$/, ""), { recursive: true });
    await Deno.copyFile(ROOT + path, `${folder}/${path}`);
  }
}

/** What a command says where it fails. */
async function failureOf(folder: string, command: string, tag: string) {
  const deno = Deno.execPath().replace(/[^/]*$/, "");
  const env = {
    PATH: `${deno}:${Deno.env.get("PATH")}`,
    GITHUB_REF_NAME: tag,
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_REPOSITORY: "onehead/attention",
  };
  try {
    await outputOf("bash", ["-e", "-c", command], { cwd: folder, env });
  } catch (error) {
    return (error as Error).message;
  }
}
