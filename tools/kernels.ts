// Writes the modules that hold the WGSL of a folder as strings: published code imports no text files.
//
// A role is a file, `cache/slots.wgsl`, or one of several variants with the same functions: short ones stand in one file,
// each under a line "// variant NAME: purpose", large ones in files of their own, `attend/score_keys.lanes.wgsl`.

import { condensed } from "../src/gpu/wgsl_text.ts";
import { filesIn } from "./folders.ts";

/** Folders of `.wgsl` files; each gets a `mod.ts`. */
export const FOLDERS: readonly string[] = ["kernels", "bench/kernels"];

/** The text of a role, or of one of its variants. */
export interface KernelText {
  /** Where it lies in its folder, e.g. "cache/rope.wgsl". */
  path: string;
  /** E.g. "rope". */
  role: string;
  /** E.g. "none"; of a role without variants nothing. */
  variant?: string;
  /** What is written there: comments that its variants share, if it has some, and what follows. */
  source: string;
  /** What of it is exported: without comments and indentation. */
  text: string;
}

const VARIANT = /^\/\/ variant (?=\w+: )/m;

/** The texts of a folder and those in it, in the order of their paths. */
export function textsOf(folder: string): KernelText[] {
  const paths = filesIn(folder).filter((path) => path.endsWith(".wgsl"));
  return paths.sort().flatMap((path) => {
    const [, role, variant] = path.match(/([^/.]+)(?:\.([^/.]+))?\.wgsl$/)!;
    const file = Deno.readTextFileSync(`${folder}/${path}`);
    const [head, ...sections] = file.split(VARIANT);
    if (sections.length === 0) {
      return [{ path, role, ...(variant && { variant }), source: file, text: condensed(file) }];
    }
    if (condensed(head) !== "") throw new SyntaxError(`${path} has code before its first variant`);
    return sections.map((section) => {
      const [variant] = section.match(/^\w+/)!;
      const source = `${head}// variant ${section}`;
      return { path, role, variant, source, text: condensed(source) };
    });
  });
}

/** The text of a folder's `mod.ts`: a string for each role, or, of one with variants, a string for each of these. */
export function moduleOf(folder: string): string {
  const roles = Map.groupBy(textsOf(folder), ({ role }) => role);
  const exported = [...roles].map(([role, texts]) => {
    const paths = [...new Set(texts.map(({ path }) => path))].join(", ");
    return `/** ${paths} */\nexport const ${camelCase(role)}: ${typeOf(texts)} = ${
      valueOf(texts)
    };\n`;
  });
  const head = "/** The WGSL of this folder, written by `deno task kernels`. */\n";
  return [head, ...exported].join("\n");
}

function typeOf(texts: readonly KernelText[]): string {
  const names = texts.flatMap(({ variant }) => variant ? [`"${camelCase(variant)}"`] : []);
  return names.length === 0 ? "string" : `Readonly<Record<${names.join(" | ")}, string>>`;
}

function valueOf(texts: readonly KernelText[]): string {
  if (texts.length === 1 && !texts[0].variant) return `\`${texts[0].text}\``;
  const members = texts.map(({ role, variant, text }) => {
    if (!variant) throw new SyntaxError(`${role} is a role with variants, and one without`);
    return `  ${camelCase(variant)}: \`${text}\`,\n`;
  });
  return `{\n${members.join("")}}`;
}

function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
}

if (import.meta.main) {
  for (const folder of FOLDERS) Deno.writeTextFileSync(`${folder}/mod.ts`, moduleOf(folder));
}
