// Writes the modules that hold the WGSL of a folder as strings: published code imports no text files.

import { condensed } from "../src/gpu/wgsl_text.ts";

/** Folders of `.wgsl` files; each gets a `mod.ts`. */
export const FOLDERS: readonly string[] = ["kernels", "bench/kernels"];

/** A file of WGSL. */
export interface KernelText {
  /** Where it lies in its folder, e.g. "cache/rope_queries.wgsl". */
  path: string;
  /** The name it is exported by, e.g. "ropeQueries". */
  name: string;
  /** The file as it is written. */
  source: string;
  /** What of it is exported: without comments and indentation. */
  text: string;
}

/** The files of a folder and those in it, in the order of their paths. */
export function textsOf(folder: string): KernelText[] {
  return pathsIn(folder).sort().map((path) => {
    const source = Deno.readTextFileSync(`${folder}/${path}`);
    return { path, name: nameOf(path), source, text: condensed(source) };
  });
}

/** The text of a folder's `mod.ts`. */
export function moduleOf(folder: string): string {
  const head = "/** The WGSL of this folder, written by `deno task kernels`. */\n";
  const exported = textsOf(folder).map(({ path, name, text }) =>
    `/** ${path} */\nexport const ${name}: string = \`${text}\`;\n`
  );
  return [head, ...exported].join("\n");
}

function pathsIn(folder: string, under = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${under}`)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return pathsIn(folder, `${under}${name}/`);
    return name.endsWith(".wgsl") ? [under + name] : [];
  });
}

function nameOf(path: string): string {
  const [, name] = path.match(/([^/]+)\.wgsl$/)!;
  return name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
}

if (import.meta.main) {
  for (const folder of FOLDERS) Deno.writeTextFileSync(`${folder}/mod.ts`, moduleOf(folder));
}
