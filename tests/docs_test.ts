// The pages: links lead somewhere, and commands are there.
import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const PAGES = [
  ...["README.md", "CHANGELOG.md", "SECURITY.md", "bench/NOTES.md"],
  ...[...Deno.readDirSync(new URL("docs/", ROOT))]
    .filter(({ name }) => name.endsWith(".md")).map(({ name }) => `docs/${name}`),
];
const texts = new Map(PAGES.map((page) => [page, Deno.readTextFileSync(new URL(page, ROOT))]));
const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));

/** The anchor of a heading, as GitHub makes it. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-");
}

function anchorsOf(text: string): string[] {
  const headings = text.replaceAll(/^```.*?^```/gms, "").matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading]) => anchorOf(heading));
}

/** Whether a link of a page leads to a file, and to a heading of a page. */
function leadsSomewhere(page: string, link: string): boolean {
  const url = new URL(link, new URL(page, ROOT));
  const path = decodeURIComponent(url.pathname.slice(ROOT.pathname.length));
  if (url.hash && texts.has(path)) return anchorsOf(texts.get(path)!).includes(url.hash.slice(1));
  try {
    return Deno.statSync(url) !== undefined;
  } catch {
    return false;
  }
}

Deno.test("Docs: links lead to files and headings that are there", () => {
  const links = [...texts].flatMap(([page, text]) =>
    [...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link]) => ({ page, link }))
  );
  assertEquals(links.length > 50, true);
  assertEquals(links.filter(({ page, link }) => !leadsSomewhere(page, link)), []);
  assertEquals(leadsSomewhere("README.md", "docs/start.md#none"), false);
  assertEquals(leadsSomewhere("README.md", "docs/none.md"), false);
});

Deno.test("Docs: the index names every page", () => {
  const index = texts.get("docs/README.md")!;
  const pages = PAGES.filter((page) => page.startsWith("docs/") && page !== "docs/README.md");
  assertEquals(pages.filter((page) => !index.includes(`](${page.slice("docs/".length)})`)), []);
});

Deno.test("Docs: commands are tasks of deno.json", () => {
  const commands = /\b(?:deno run|deno task|sh tools\/run) ([a-z]+)\b(?![./])/g;
  const named = [...texts].flatMap(([page, text]) =>
    [...text.matchAll(commands)].map(([, task]) => ({ page, task }))
  );
  assertEquals(named.length > 50, true);
  assertEquals(named.filter(({ task }) => !(task in tasks)), []);
});
