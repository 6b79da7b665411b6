// The rooms of the house: who may import whom.
import { assert, assertEquals } from "@std/assert";
import { circlesOf, readImports, specifiersOf } from "./support/imports.ts";

/** The rooms of the library, in src/: each imports only from rooms before it. */
const ROOMS = [
  ...["base", "gpu", "tensor", "cache", "score", "costs", "plan", "attend", "layer"],
  ...["reference", "model", "checkpoints", "train", "cluster"],
];
/** The rooms that compose kernels; all others know nothing of WGSL. */
const COMPOSING = ["tensor", "cache", "score", "attend", "layer", "model", "train"];
/** What may import the float64 reference: the reference decoder, and what is public. */
const OF_REFERENCE = ["src/model/reference.ts", "mod.ts"];

/** The packages that the library imports, and the room that each is for. */
const PACKAGES: Readonly<Record<string, string>> = {
  "@huggingface/tokenizers": "src/model",
  "@nats-io/jetstream": "src/cluster",
  "@nats-io/services": "src/cluster",
  "@nats-io/transport-node": "src/cluster",
};

const ROOT = new URL("../", import.meta.url);
const imports = readImports(ROOT);
const edges = [...imports].flatMap(([from, targets]) => targets.map((to) => ({ from, to })));

/** "src/plan" of "src/plan/spec.ts", "bench" of "bench/main.ts". */
function placeOf(file: string): string {
  const [top, inner] = file.split("/");
  return top === "src" || top === "cli" ? `${top}/${inner}` : top;
}

/** The index of a file's room, beyond all rooms for a file of none. */
function orderOf(file: string): number {
  const index = ROOMS.findIndex((room) => placeOf(file) === `src/${room}`);
  return index < 0 ? ROOMS.length : index;
}

/** Asserts that no import is of a kind that must not be. */
function assertNone(isWrong: (edge: { from: string; to: string }) => boolean): void {
  const wrong = edges.filter(isWrong).map(({ from, to }) => `${from} imports ${to}`);
  assertEquals(wrong, []);
}

const isOf = (place: string) => (file: string) => file === place || file.startsWith(`${place}/`);

Deno.test("House: imports are read, whatever their form", () => {
  const text = [
    'import a from "./a.ts";',
    'import type {\n  B,\n} from "./b.ts";',
    'export * from "./c.ts";',
    'import "./d.ts";',
    'const e = await import("./e.ts");',
    ' * import { f } from "./f.ts";',
    'export const g = "./g.ts";',
  ].join("\n");
  const read = ["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"];
  assertEquals(specifiersOf(text), read);
});

Deno.test("House: circles are found", () => {
  const graph = new Map(Object.entries({ a: ["b"], b: ["c"], c: ["b"], d: ["a", "e"], e: ["e"] }));
  assertEquals(circlesOf(graph).map((circle) => circle.sort()), [["b", "c"], ["e"]]);
});

Deno.test("House: every file of src is in a room of the table, and every room has files", () => {
  const files = [...imports.keys()].filter(isOf("src"));
  assertEquals(files.filter((file) => orderOf(file) === ROOMS.length), []);
  assertEquals([...new Set(files.map(orderOf))].sort((a, b) => a - b), [...ROOMS.keys()]);
});

Deno.test("House: the README lists the rooms in their order", async () => {
  const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  const listed = [...readme.matchAll(/^\| `src\/(\w+)\/` /gm)].map(([, room]) => room);
  assertEquals(listed, ROOMS);
});

Deno.test("House: a room imports only from rooms before it, and from kernels", () => {
  assertNone(({ from, to }) =>
    isOf("src")(from) && !isOf("kernels")(to) && orderOf(from) < orderOf(to)
  );
});

Deno.test("House: only rooms that compose import kernels, which import nothing", () => {
  const composing = COMPOSING.map((room) => `src/${room}`);
  assertNone(({ from, to }) =>
    isOf("src")(from) && isOf("kernels")(to) && !composing.includes(placeOf(from))
  );
  assertNone(({ from, to }) => isOf("kernels")(from) && !isOf("kernels")(to));
});

Deno.test("House: the library imports no packages but those of its table, each in its room", () => {
  const files = [...imports.keys()].filter((file) => isOf("src")(file) || file === "mod.ts");
  const imported = files.flatMap((file) =>
    specifiersOf(Deno.readTextFileSync(new URL(file, ROOT)))
      .filter((specifier) => !/^(\.|node:|@onehead\/)/.test(specifier))
      .map((specifier) => specifier.match(/^(@[^/]+\/)?[^/]+/)![0])
      .map((name) => ({ name, place: placeOf(file) }))
  );
  assertEquals(imported.filter(({ name, place }) => PACKAGES[name] !== place), []);
  assertEquals([...new Set(imported.map(({ name }) => name))].sort(), Object.keys(PACKAGES).sort());
});

Deno.test("House: the reference is imported by nothing that it checks", () => {
  assertNone(({ from, to }) =>
    (isOf("src")(from) || from === "mod.ts") && isOf("src/reference")(to) &&
    !isOf("src/reference")(from) && !OF_REFERENCE.includes(from)
  );
});

Deno.test("House: a command imports the library and cli/shared, no other command", () => {
  const isCommand = (file: string) => isOf("bench")(file) || isOf("cli")(file);
  const isAllowed = (from: string, to: string) =>
    placeOf(from) === placeOf(to) ||
    (placeOf(to) === "cli/shared") ||
    // Planning for the present device measures it, and a worker does for others, through the public face of the bench.
    (["cli/plan", "cli/worker"].includes(placeOf(from)) && to === "bench/mod.ts");
  assertNone(({ from, to }) => isCommand(from) && isCommand(to) && !isAllowed(from, to));
});

Deno.test("House: commands start progress by `using` alone, so that an error ends it too", () => {
  const files = [...imports.keys()].filter((file) => /^(cli|bench|tools)\//.test(file));
  const starts = files.flatMap((file) => {
    const text = Deno.readTextFileSync(new URL(file, ROOT));
    return [...text.matchAll(/^.*\.progress\(.*$/gm)].map(([line]) => `${file}: ${line.trim()}`);
  });
  assert(starts.length > 0);
  assertEquals(starts.filter((start) => !start.includes(": using progress = ")), []);
});

Deno.test("House: comments end by column 132", () => {
  const long = [...imports.keys()].filter((file) => file.endsWith(".ts")).flatMap((file) => {
    const lines = Deno.readTextFileSync(new URL(file, ROOT)).split("\n");
    return lines.flatMap((line, i) =>
      line.length > 132 && /^ *(?:\/\/|\/\*\*|\*)/.test(line) ? [`${file}:${i + 1}`] : []
    );
  });
  assertEquals(long, []);
});

Deno.test("House: nothing but tests imports tests, and nothing but tests and tools imports tools", () => {
  assertNone(({ from, to }) => isOf("tests")(to) && !isOf("tests")(from));
  assertNone(({ from, to }) => isOf("tools")(to) && !isOf("tools")(from) && !isOf("tests")(from));
});

Deno.test("House: no files and no rooms import each other in a circle", () => {
  assertEquals(circlesOf(imports), []);
  const rooms = new Map<string, string[]>();
  for (const { from, to } of edges) {
    if (placeOf(from) === placeOf(to)) continue;
    rooms.set(placeOf(from), [...rooms.get(placeOf(from)) ?? [], placeOf(to)]);
  }
  assertEquals(circlesOf(rooms), []);
});
