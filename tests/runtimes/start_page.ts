/** The programs that docs/start.md shows for runtimes, as they stand. */

import { LIBRARY } from "./workspace.ts";

/** A block of code. */
export interface Snippet {
  /** The first word behind its fence. */
  language: string;
  code: string;
  /** What it prints, as it says itself: what stands in the comment behind each `console.log`. */
  prints: readonly string[];
}

/** What stands below a heading of any level, up to the next one. Pure. */
function sectionOf(markdown: string, heading: string): string {
  const sections = markdown.split(/^#+ (?=.)/m);
  return sections.find((text) => text.startsWith(`${heading}\n`)) ?? "";
}

/** The blocks of code below a heading. Pure. */
export function snippetsOf(markdown: string, heading: string): Snippet[] {
  const blocks = sectionOf(markdown, heading).matchAll(/^```(\w+).*\n([^]*?)^```$/gm);
  return [...blocks].map(([, language, code]) => {
    const logs = code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm);
    return { language, code, prints: [...logs].map(([, printed]) => printed) };
  });
}

/** The packages that are to be installed, as said below a heading. Pure. */
export function installsOf(markdown: string, heading: string): string[] {
  const commands = sectionOf(markdown, heading).matchAll(/`(?:npm install|bun add) ([^`]+)`/g);
  return [...commands].flatMap(([, names]) => names.split(" "));
}

/** The page. */
export const START_PAGE = new URL("../../docs/start.md", import.meta.url);

/** A program that docs/start.md shows. */
export interface StartProgram extends Snippet {
  /** The packages that are to be installed for it. */
  installs: readonly string[];
}

/**
 * The program of docs/start.md below a heading, in a language, that says what it prints.
 *
 * @throws {Error} If there is none, or there are several.
 */
export async function startProgram(heading: string, language: string): Promise<StartProgram> {
  const markdown = await Deno.readTextFile(START_PAGE);
  const programs = snippetsOf(markdown, heading).filter((snippet) =>
    snippet.language === language && snippet.prints.length > 0
  );
  if (programs.length === 1) return { ...programs[0], installs: installsOf(markdown, heading) };
  throw new Error(
    `docs/start.md has ${programs.length} programs in ${language} below "${heading}"`,
  );
}

/** What docs/start.md has installed that a project lacks, in words. Pure. */
export function uninstalled(
  { installs }: Pick<StartProgram, "installs">,
  packages: readonly string[],
): string[] {
  return installs
    .filter((name) => name !== LIBRARY && !packages.some((known) => known.startsWith(`${name}@`)))
    .map((name) => `the docs/start.md has ${name} installed, which is not here`);
}

/** What a program printed that docs/start.md does not say, in words. Pure. */
export function misprints({ prints }: Snippet, printed: readonly string[]): string[] {
  if (prints.join("\n") === printed.join("\n")) return [];
  return [
    `docs/start.md's program printed ${JSON.stringify(printed)}, not ${JSON.stringify(prints)}`,
  ];
}
