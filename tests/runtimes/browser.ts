/** Headless Chromium, driven by Playwright. */
import { type BrowserContext, chromium } from "playwright-core";
import { serveFolder } from "../../tools/serve.ts";
import { MissingError } from "./workspace.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
// Software adapters are unsafe to Chromium, which runs as root only without its sandbox.
const ARGS = ["--enable-unsafe-webgpu", "--disable-dev-shm-usage", "--no-sandbox"];

// Software adapters compile for seconds, and a busy machine takes as long to start a browser.
const TIMEOUT_MS = 300_000;

/**
 * Gives a Chromium of its own to something.
 *
 * @throws {MissingError} If there is no Chromium.
 */
export async function withBrowser<Result>(
  use: (context: BrowserContext) => Promise<Result>,
): Promise<Result> {
  const executablePath = await findChromium();
  const browser = await chromium.launch({ executablePath, args: ARGS, timeout: TIMEOUT_MS });
  try {
    const context = await browser.newContext();
    context.setDefaultTimeout(TIMEOUT_MS);
    return await use(context);
  } finally {
    await browser.close();
  }
}

/** Serves a folder to a Chromium of its own. */
export async function withSite<Result>(
  folder: string,
  use: (context: BrowserContext, address: string) => Promise<Result>,
): Promise<Result> {
  return await withBrowser(async (context) => {
    const { server, address } = serveFolder(folder);
    try {
      return await use(context, address);
    } finally {
      await server.shutdown();
    }
  });
}

/** Opens a page, and returns what it printed, up to the number of lines that is awaited or an error. */
export async function printsOf(
  context: BrowserContext,
  address: string,
  lines: number,
): Promise<string[]> {
  const page = await context.newPage();
  const printed: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<string[]>();
  page.on("pageerror", (error) => reject(error));
  page.on("console", (message) => {
    if (message.type() === "error") reject(new Error(message.text()));
    if (message.type() === "log") printed.push(message.text());
    if (printed.length === lines) resolve(printed);
  });
  const late = setTimeout(() => resolve(printed), TIMEOUT_MS);
  try {
    await page.goto(address);
    return await promise;
  } finally {
    clearTimeout(late);
    await page.close();
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
