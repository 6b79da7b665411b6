/** Who imports whom among the files of the repository. Type imports and dynamic ones count as well. */

/** The files that each file imports, by paths from the repository's root. */
export type Imports = ReadonlyMap<string, readonly string[]>;

/** Folders and files of the repository that hold modules. */
const PLACES = ["mod.ts", "src", "kernels", "cli", "bench", "examples", "tools", "tests"];
const STATEMENT = /^(?:import|export)\b[^;"]*\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"/gm;
const CALL = /\bimport\(\s*"([^"]+)"/g;

/** Reads the imports of every module of the repository at `root`, which ends with a slash. */
export function readImports(root: URL): Imports {
  const files = PLACES.flatMap((place) => modulesIn(new URL(place, root)));
  const pathOf = (url: URL) => url.pathname.slice(root.pathname.length);
  return new Map(files.map((file) => {
    const specifiers = specifiersOf(Deno.readTextFileSync(file));
    const local = specifiers.filter((specifier) => specifier.startsWith("."));
    return [pathOf(file), local.map((specifier) => pathOf(new URL(specifier, file)))];
  }));
}

/** What a module's text imports or exports from, as it is written there. */
export function specifiersOf(text: string): string[] {
  return [STATEMENT, CALL].flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, from, alone]) => from ?? alone)
  );
}

/** The circles of a graph: each a set of nodes that lead to each other, in the order in which they are found. */
export function circlesOf(graph: Imports): string[][] {
  const reached = new Map([...graph.keys()].map((node) => [node, reachableFrom(node, graph)]));
  const circles: string[][] = [];
  for (const node of graph.keys()) {
    if (!reached.get(node)!.has(node) || circles.some((circle) => circle.includes(node))) continue;
    const circle = [...reached.get(node)!].filter((other) => reached.get(other)?.has(node));
    circles.push(circle);
  }
  return circles;
}

function reachableFrom(start: string, graph: Imports): Set<string> {
  const reached = new Set<string>();
  const open = [...graph.get(start) ?? []];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (reached.has(node)) continue;
    reached.add(node);
    open.push(...graph.get(node) ?? []);
  }
  return reached;
}

function modulesIn(place: URL): URL[] {
  if (Deno.statSync(place).isFile) return [place];
  return [...Deno.readDirSync(place)].flatMap(({ name, isDirectory }) => {
    const url = new URL(`${place}/${name}`);
    if (isDirectory) return modulesIn(url);
    return /\.(ts|js)$/.test(name) ? [url] : [];
  });
}
