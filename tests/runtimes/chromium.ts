/** The cases and the demo page in headless Chromium, driven by Playwright. */
import { fileURLToPath } from "node:url";
import { type BrowserContext, chromium } from "playwright-core";
import { serveFolder } from "../../tools/serve.ts";
import type { Report } from "./guest.ts";
import { judge, type Verdict } from "./verdict.ts";
import { bundleLibrary, MissingError, WORKSPACE } from "./workspace.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
// Software adapters are unsafe to Chromium, which runs as root only without its sandbox.
const ARGS = ["--enable-unsafe-webgpu", "--disable-dev-shm-usage", "--no-sandbox"];

const DEMO = fileURLToPath(new URL("../../examples/browser/", import.meta.url));

const TIMEOUT_MS = 120_000;

const PAGE = `<!doctype html>
<script type="importmap">{ "imports": { "@onehead/attention": "./onehead.mjs" } }</script>`;

/**
 * Runs the cases in a page.
 *
 * @throws {MissingError} If there is no Chromium.
 */
export async function runChromium(seed: number): Promise<Verdict> {
  await Deno.writeTextFile(`${WORKSPACE}index.html`, PAGE);
  return await withBrowser(WORKSPACE, async (context, address) => {
    const page = await context.newPage();
    const reports: Report[] = [];
    await page.exposeFunction("report", (report: Report) => reports.push(report));
    await page.goto(address);
    await page.evaluate(`import("./guest.mjs").then(({ main }) => main(${seed}, report))`);
    return judge(reports);
  });
}

/**
 * Uses the demo page as a visitor does, on a phone's width: measures, changes the maps, and comes without WebGPU.
 *
 * @throws {MissingError} If there is no Chromium, or it has no WebGPU.
 */
export async function runDemo(): Promise<Verdict> {
  await bundleLibrary(`${DEMO}onehead.mjs`);
  const failures = await withBrowser(DEMO, async (context, address) => [
    ...await visit(context, address),
    ...await visitWithoutWebGpu(context, address),
  ]);
  const status = failures.length === 0 ? "passed" : "failed";
  return { status, summary: "measures, draws maps, and says where WebGPU is missing", failures };
}

async function visit(context: BrowserContext, address: string): Promise<string[]> {
  const page = await context.newPage();
  await page.setViewportSize({ width: 360, height: 740 });
  const failures: string[] = [];
  const expect = (what: string, isTrue: boolean) => isTrue || failures.push(`not so: ${what}`);
  page.on("pageerror", ({ message }) => failures.push(`an error of the page: ${message}`));
  page.on("console", (message) => {
    if (message.type() === "error") failures.push(`an error in the console: ${message.text()}`);
  });
  await page.goto(address);
  await page.locator("#maps canvas, #missing:not([hidden])").first().waitFor();
  if (await page.isVisible("#missing")) {
    throw new MissingError(await page.innerText("#missing-why"));
  }
  expect("eight maps in one frame", await page.locator("fieldset").count() === 1);
  expect("eight maps", await page.locator("#maps canvas").count() === 8);
  await page.selectOption("[name=numKvHeads]", "4");
  await page.locator("fieldset").nth(3).waitFor();
  expect("eight maps in four frames", await page.locator("#maps canvas").count() === 8);

  // By keys alone: measure, which moves the focus to cancel, and cancel, which moves it back.
  await page.locator("[type=submit]").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await page.getByText("Cancelled.").waitFor();
  expect("the focus is where it was", await page.locator("[type=submit]:focus").count() === 1);

  const shape = { numHeads: "8", numGroups: "2", headDim: "64", contextLen: "256" };
  for (const [name, value] of Object.entries(shape)) {
    await page.selectOption(`[name=${name}]`, value);
  }
  const memory = (await page.locator("#memory span").allTextContents()).join(", ");
  expect(`memory of 8, 2 and 1 heads: ${memory}`, memory === "1 MiB, 256 KiB, 128 KiB");
  await page.click("[type=submit]");
  await page.waitForFunction(`document.getElementById("checked").textContent !== ""`);
  const checked = await page.locator("#checked").innerText();
  const errors = checked.match(/[\d.]+e[-+]\d+/g)?.map(Number) ?? [];
  expect(
    `three errors below 2e-5: ${checked}`,
    errors.length === 3 && errors.every((x) => x < 2e-5),
  );
  const throughput = await page.locator("#throughput span").allTextContents();
  expect(`three times: ${throughput}`, throughput.every((text) => /^[\d,.]+\/s · /.test(text)));
  const width = await page.evaluate("document.documentElement.scrollWidth");
  expect(`no wider than the screen: ${width}`, width === 360);
  return failures;
}

async function visitWithoutWebGpu(context: BrowserContext, address: string): Promise<string[]> {
  const page = await context.newPage();
  await page.addInitScript(`Object.defineProperty(navigator, "gpu", { value: undefined })`);
  await page.goto(address);
  await page.locator("#missing").waitFor();
  const isHidden = await page.locator("main").isHidden();
  return isHidden ? [] : ["without WebGPU, the forms are there all the same"];
}

/** Serves a folder to a Chromium of its own. */
async function withBrowser<Result>(
  folder: string,
  use: (context: BrowserContext, address: string) => Promise<Result>,
): Promise<Result> {
  const executablePath = await findChromium();
  const { server, address } = serveFolder(folder);
  const browser = await chromium.launch({ executablePath, args: ARGS });
  try {
    const context = await browser.newContext();
    // Software adapters compile for seconds.
    context.setDefaultTimeout(TIMEOUT_MS);
    return await use(context, address);
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
