/** The library in pages: built and served by Vite, built by esbuild, and as one file. */
import type { BrowserContext } from "playwright-core";
import { serveFolder } from "../../tools/serve.ts";
import { printsOf, withBrowser, withSite } from "./browser.ts";
import type { Report } from "./guest.ts";
import { misprints, type Snippet, startProgram, uninstalled } from "./start_page.ts";
import { judge, type Verdict } from "./verdict.ts";
import { Project } from "./workspace.ts";

// Without an icon, browsers ask for one, and print that there is none.
const ICON = `<!doctype html>\n<link rel="icon" href="data:,">\n`;
const PAGE = `${ICON}<script type="module" src="./main.js"></script>\n`;

/**
 * The cases in Chromium, built by Vite.
 *
 * @throws {MissingError} If there is no Chromium, or npm does not bring Vite.
 */
export async function runChromium(seed: number): Promise<Verdict> {
  const web = await Project.install("web");
  await web.bundle("guest", "cases/guest.mjs");
  await web.write("cases/main.js", `import { main } from "./guest.mjs";\nglobalThis.main = main;`);
  await web.write("cases/index.html", PAGE);
  await web.runTool("vite", ["build", "cases"]);
  return await withSite(`${web.folder}cases/dist`, async (context, address) => {
    const page = await context.newPage();
    const reports: Report[] = [];
    await page.exposeFunction("report", (report: Report) => reports.push(report));
    await page.goto(address);
    await page.waitForFunction("globalThis.main");
    await page.evaluate(`main(${seed}, report)`);
    return judge(reports);
  });
}

/** A folder or a server with a page that runs a program. */
interface Site {
  address: string;
  close(): Promise<void>;
}

/** Ways from a program of docs/start.md to a page: its heading and language there, and how the page comes about. */
const WAYS: readonly {
  name: string;
  heading: string;
  language: string;
  publish(web: Project, program: Snippet): Promise<Site>;
}[] = [
  {
    ...{ name: "built by Vite", heading: "Bundlers", language: "js" },
    async publish(web) {
      await web.runTool("vite", ["build"]);
      return siteOf(`${web.folder}dist`);
    },
  },
  {
    ...{ name: "served by Vite", heading: "Bundlers", language: "js" },
    publish: (web) => serveByVite(web),
  },
  {
    ...{ name: "built by esbuild", heading: "Bundlers", language: "js" },
    async publish(web) {
      const options = ["--bundle", "--minify", "--format=esm", "--outfile=esbuild/main.js"];
      await web.runTool("esbuild", ["main.js", ...options]);
      await web.write("esbuild/index.html", PAGE);
      return siteOf(`${web.folder}esbuild`);
    },
  },
  {
    ...{ name: "one file", heading: "Pages without a build", language: "html" },
    async publish(web, { code }) {
      await web.write("page/index.html", ICON + code);
      await web.copyOneFile("page");
      return siteOf(`${web.folder}page`);
    },
  },
];

/**
 * docs/start.md's programs for pages, as they stand, in Chromium.
 *
 * @throws {MissingError} If there is no Chromium, or npm does not bring the bundlers.
 */
export async function runWeb(): Promise<Verdict> {
  const web = await Project.install("web");
  await web.write("index.html", PAGE);
  const failures = await withBrowser(async (context) => {
    const failures: string[] = [];
    for (const way of WAYS) {
      const failed = await visit(web, way, context).catch((error) => [String(error)]);
      failures.push(...failed.map((failure) => `${way.name}: ${failure}`));
    }
    return failures;
  });
  const names = WAYS.map(({ name }) => name).join(", ");
  const status = failures.length === 0 ? "passed" : "failed";
  return { status, summary: `docs/start.md's programs in Chromium: ${names}`, failures };
}

async function visit(
  web: Project,
  { heading, language, publish }: typeof WAYS[number],
  context: BrowserContext,
): Promise<string[]> {
  const program = await startProgram(heading, language);
  if (language === "js") await web.write("main.js", program.code);
  const { address, close } = await publish(web, program);
  try {
    const printed = await printsOf(context, address, program.prints.length);
    return [...uninstalled(program, web.packages), ...misprints(program, printed)];
  } finally {
    await close();
  }
}

function siteOf(folder: string): Site {
  const { server, address } = serveFolder(folder);
  return { address, close: () => server.shutdown() };
}

async function serveByVite(web: Project): Promise<Site> {
  const server = await web.spawnTool("vite", ["--host", "127.0.0.1", "--port", "0"]);
  const lines = server.stdout.pipeThrough(new TextDecoderStream());
  let said = "";
  // Vite would end with an error where nobody reads on.
  for await (const text of lines.values({ preventCancel: true })) {
    said += text;
    const [address] = said.match(/http:\S+/) ?? [];
    if (address) return { address, close: () => end(server) };
  }
  throw new Error(`Vite did not serve: ${said}`);
}

async function end(server: Deno.ChildProcess): Promise<void> {
  server.kill();
  await server.status;
}
