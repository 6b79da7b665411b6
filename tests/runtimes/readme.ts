/** The programs that the README shows for runtimes, as they stand. */

/** A block of code. */
export interface Snippet {
  /** The first word behind its fence. */
  language: string;
  code: string;
  /** What it prints, as it says itself: what stands in the comment behind each `console.log`. */
  prints: readonly string[];
}

/** The blocks of code below a heading, up to the next one of any level. Pure. */
export function snippetsOf(markdown: string, heading: string): Snippet[] {
  const sections = markdown.split(/^#+ (?=.)/m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^```(\w+).*\n([^]*?)^```$/gm)].map(([, language, code]) => {
    const logs = code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm);
    return { language, code, prints: [...logs].map(([, printed]) => printed) };
  });
}

/**
 * The program of the README below a heading, in a language, that says what it prints.
 *
 * @throws {Error} If there is none, or there are several.
 */
export async function readmeProgram(heading: string, language: string): Promise<Snippet> {
  const markdown = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  const programs = snippetsOf(markdown, heading).filter((snippet) =>
    snippet.language === language && snippet.prints.length > 0
  );
  if (programs.length === 1) return programs[0];
  throw new Error(`README has ${programs.length} programs in ${language} below "${heading}"`);
}

/** What a program printed that the README does not say, in words. Pure. */
export function misprints({ prints }: Snippet, printed: readonly string[]): string[] {
  if (prints.join("\n") === printed.join("\n")) return [];
  return [`the README's program printed ${JSON.stringify(printed)}, not ${JSON.stringify(prints)}`];
}
