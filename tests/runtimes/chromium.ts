/** The cases and the demo page in headless Chromium, driven by Playwright. */
import { chromium, type Page } from "playwright-core";
import { serveFolder } from "../../tools/serve.ts";
import type { Report } from "./guest.ts";
import { judge, type Verdict } from "./verdict.ts";
import { MissingError, WORKSPACE } from "./workspace.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
// Software adapters are unsafe to Chromium, which runs as root only without its sandbox.
const ARGS = ["--enable-unsafe-webgpu", "--disable-dev-shm-usage", "--no-sandbox"];

const PAGE = `<!doctype html>
<script type="importmap">{ "imports": { "@onehead/attention": "./onehead.mjs" } }</script>`;

/**
 * Runs the cases in a page.
 *
 * @throws {MissingError} If there is no Chromium.
 */
export async function runChromium(seed: number): Promise<Verdict> {
  await Deno.writeTextFile(`${WORKSPACE}index.html`, PAGE);
  return await withPage(WORKSPACE, async (page) => {
    const reports: Report[] = [];
    await page.exposeFunction("report", (report: Report) => reports.push(report));
    await page.evaluate(`import("./guest.mjs").then(({ main }) => main(${seed}, report))`);
    return judge(reports);
  });
}

/** Opens a page of a folder that is served, in a Chromium of its own. */
export async function withPage<Result>(
  folder: string,
  use: (page: Page) => Promise<Result>,
): Promise<Result> {
  const executablePath = await findChromium();
  const { server, address } = serveFolder(folder);
  const browser = await chromium.launch({ executablePath, args: ARGS });
  try {
    const page = await browser.newPage();
    await page.goto(address);
    return await use(page);
  } finally {
    await browser.close();
    await server.shutdown();
  }
}

async function findChromium(): Promise<string> {
  const folders = (Deno.env.get("PATH") ?? "").split(Deno.build.os === "windows" ? ";" : ":");
  for (const path of folders.flatMap((folder) => NAMES.map((name) => `${folder}/${name}`))) {
    const found = await Deno.stat(path).catch(() => undefined);
    if (found?.isFile) return path;
  }
  throw new MissingError(
    `there is none of ${NAMES.join(", ")} (on Debian: apt-get install chromium)`,
  );
}
