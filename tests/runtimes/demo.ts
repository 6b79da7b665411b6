/** The demo page in headless Chromium. */
import { fileURLToPath } from "node:url";
import type { BrowserContext, Page } from "playwright-core";
import { outputOf } from "../../tools/programs.ts";
import { withModel } from "../support/commands.ts";
import { Random } from "../support/random.ts";
import { withSite } from "./browser.ts";
import type { Verdict } from "./verdict.ts";
import { MissingError } from "./workspace.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const DEMO = `${ROOT}examples/browser/`;

/**
 * Uses the demo page as a visitor does, on a phone's width: measures, changes the maps, and comes without WebGPU.
 *
 * @throws {MissingError} If there is no Chromium, or it has no WebGPU.
 */
export async function runDemo(): Promise<Verdict> {
  const bundle = ["bundle", "--quiet", "--platform", "browser", "--output", `${DEMO}onehead.mjs`];
  await outputOf(Deno.execPath(), [...bundle, `${DEMO}bundle.ts`], { cwd: ROOT });
  const failures = await withSite(DEMO, async (context, address) => [
    ...await visit(context, address),
    ...await visitModel(context, address),
    ...await visitWithoutWebGpu(context, address),
  ]);
  const status = failures.length === 0 ? "passed" : "failed";
  return {
    status,
    summary: "measures, draws maps, runs models, and says where WebGPU is missing",
    failures,
  };
}

async function visit(context: BrowserContext, address: string): Promise<string[]> {
  const page = await context.newPage();
  await page.setViewportSize({ width: 360, height: 740 });
  const failures = failuresOf(page);
  const expect = (what: string, isTrue: boolean) => isTrue || failures.push(`not so: ${what}`);
  await page.goto(address);
  await page.locator("#maps canvas, #missing:not([hidden])").first().waitFor();
  if (await page.isVisible("#missing")) {
    throw new MissingError(await page.innerText("#missing-why"));
  }
  expect("eight maps in one frame", await page.locator("fieldset").count() === 1);
  expect("eight maps", await page.locator("#maps canvas").count() === 8);
  await page.selectOption("#maps-form [name=numKvHeads]", "4");
  await page.locator("fieldset").nth(3).waitFor();
  expect("eight maps in four frames", await page.locator("#maps canvas").count() === 8);

  // By keys alone: measure, which moves the focus to cancel, and cancel, which moves it back.
  await page.locator("#shape [type=submit]").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await page.getByText("Cancelled.").waitFor();
  expect(
    "the focus is where it was",
    await page.locator("#shape [type=submit]:focus").count() === 1,
  );

  const shape = { numHeads: "8", numGroups: "2", headDim: "64", contextLen: "256" };
  for (const [name, value] of Object.entries(shape)) {
    await page.selectOption(`#shape [name=${name}]`, value);
  }
  const memory = (await page.locator("#memory span").allTextContents()).join(", ");
  expect(`memory of 8, 2 and 1 heads: ${memory}`, memory === "1 MiB, 256 KiB, 128 KiB");
  await page.click("#shape [type=submit]");
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

/** The tab of models, by keys alone, then with files: those of no model, and a small one whose heads are merged. */
async function visitModel(context: BrowserContext, address: string): Promise<string[]> {
  const page = await context.newPage();
  await page.setViewportSize({ width: 360, height: 740 });
  const failures = failuresOf(page);
  const expect = (what: string, isTrue: boolean) => isTrue || failures.push(`not so: ${what}`);
  await page.goto(address);
  await page.locator("#layer-tab").focus();
  await page.keyboard.press("ArrowRight");
  expect("the arrow leads to the model", await page.locator("#model-tab:focus").count() === 1);
  expect("its panel alone is there", await page.locator("[role=tabpanel]:visible").count() === 1);

  const write = async (kvHeads: string) => {
    await page.selectOption("#model-form [name=kvHeads]", kvHeads);
    await page.selectOption("[name=tokens]", "32");
    await page.locator("#model-form [type=submit]").focus();
    await page.keyboard.press("Enter");
    await page.getByText(/^Done: \d+ tokens\.$/).waitFor();
    const speeds = await page.locator("#model-throughput span").allTextContents();
    return speeds.filter((text) => text !== "–").length;
  };
  expect("one speed", await write("8") === 1);
  expect("two speeds", await write("1") === 2);
  const memory = (await page.locator("#model-memory span").allTextContents()).join(", ");
  expect(`memory of 48 tokens: ${memory}`, /^384 KiB .*, 48 KiB · 48 tokens$/.test(memory));
  expect("48 letters", (await page.innerText("#text")).length === 48);

  await page.fill("[name=prompt]", "");
  expect("a text of no prompt", await write("8") === 2);
  await page.fill("[name=prompt]", "a".repeat(2048));
  await page.keyboard.press("Enter");
  await page.getByText("it has 2048 tokens of at most 2047").waitFor();
  await page.fill("[name=prompt]", "a");

  await page.setInputFiles("#model-files", [fileURLToPath(import.meta.url)]);
  await page.getByText(/^Cannot read a model/).waitFor();
  await withModel(new Random(1), async ({ model, tokenizer }) => {
    await page.setInputFiles("#model-files", [model, tokenizer]);
    await page.getByText(/\.bin: \d+ layers of/).waitFor();
    // Of two choices the last one counts, also over what still runs for the first.
    await page.selectOption("#model-form [name=kvHeads]", "1");
    await page.evaluate(`{
      document.querySelector("#model-form [type=submit]").click();
      document.getElementById("model-files").dispatchEvent(new Event("change"));
      document.getElementById("random").click();
    }`);
    await page.locator("#stop:disabled").waitFor();
    await page.waitForTimeout(500);
    const status = await page.innerText("#model-status");
    expect(`the status of the last choice: ${status}`, status.startsWith("Random weights: "));

    await page.setInputFiles("#model-files", []);
    await page.setInputFiles("#model-files", [model, tokenizer]);
    await page.getByText(/\.bin: \d+ layers of/).waitFor();
    expect("one speed of merged heads", await write("1") === 1);
  });
  const width = await page.evaluate("document.documentElement.scrollWidth");
  expect(`no wider than the screen: ${width}`, width === 360);
  return failures;
}

/** Takes note of every error of a page. */
function failuresOf(page: Page): string[] {
  const failures: string[] = [];
  page.on("pageerror", ({ message }) => failures.push(`an error of the page: ${message}`));
  page.on("console", (message) => {
    if (message.type() === "error") failures.push(`an error in the console: ${message.text()}`);
  });
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
