// The text of the kernels, as files and as the modules written from them.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { FOLDERS, type KernelText, moduleOf, textsOf } from "../../tools/kernels.ts";
import { needsOf, saidNeeds } from "../support/kernel_needs.ts";

const TEXTS = FOLDERS.flatMap(textsOf);

/** "attend/products.wgsl, f16" */
function nameOf({ path, variant }: KernelText): string {
  return variant ? `${path}, ${variant}` : path;
}

for (const folder of FOLDERS) {
  Deno.test(`${folder}/mod.ts holds the files' texts: run "deno task kernels" where it does not`, async () => {
    assertEquals(await Deno.readTextFile(`${folder}/mod.ts`), moduleOf(folder));
  });

  Deno.test(`${folder}: the head of each text says what it needs`, () => {
    const all = textsOf(folder);
    for (const text of all) assertEquals(saidNeeds(text), needsOf(text, all), nameOf(text));
  });
}

Deno.test("kernels: each file opens with its role and its purpose", async () => {
  for (const folder of FOLDERS) {
    for (const path of new Set(textsOf(folder).map(({ path }) => path))) {
      const file = await Deno.readTextFile(`${folder}/${path}`);
      const [, name] = path.match(/([^/]+)\.wgsl$/)!;
      assert(new RegExp(`^// ${name}: \\w`).test(file), path);
    }
  }
});

Deno.test("kernels: each has one entry point main, and its head says what the grid is", () => {
  for (const text of TEXTS) {
    const entries = text.text.match(/@compute[^{(]*\([^{(]*\(/g) ?? [];
    assert(entries.length <= 1, nameOf(text));
    for (const entry of entries) {
      assertEquals(entry, "@compute @workgroup_size(WORKGROUP)\nfn main(", nameOf(text));
      assertMatch(text.source, /^\/\/ Grid: /m, nameOf(text));
    }
  }
});

Deno.test("kernels: each buffer is in a head, with its shape, its type and how it is accessed", () => {
  for (const { text, source, ...of } of TEXTS) {
    for (const [, space, name] of text.matchAll(/^var<(uniform|storage, \w+)> (\w+)/gm)) {
      if (name === "params") continue;
      const access = { uniform: "uniform", "storage, read": "read" }[space] ?? "(read, )?write";
      const line = new RegExp(`^//   ${name} +\\[.*\\]  +.*\\b${access}\\b(?!, write)`, "m");
      assert(line.test(source), `${of.path}, ${of.variant}: ${name}, ${access}`);
    }
  }
});

// By WGSL's table of accuracies, some hundred units in the last place or more; pow by the size of its exponent.
const INACCURATE = "a?(sin|cos|tan)h?|atan2|pow";

// Some compilers give a variable without a value its zero once, and not in every round of the loop that declares it.
Deno.test("kernels: a variable that a loop declares begins with a value", () => {
  for (const { text, ...of } of TEXTS) {
    const blocks: boolean[] = [];
    for (
      const [token] of text.matchAll(/(\/\*unroll\*\/ )?\bfor \([^{]*\{|\bvar \w+: [^=;]+;|[{}]/g)
    ) {
      if (token.startsWith("var")) assert(!blocks.includes(true), `${of.path}: ${token}`);
      else if (token === "}") blocks.pop();
      else blocks.push(token.startsWith("for"));
    }
  }
});

Deno.test("kernels: no function that devices may compute to a few digits", () => {
  const call = new RegExp(`\\b(${INACCURATE})\\(`);
  for (const { path, text } of TEXTS) assertEquals(text.match(call)?.[0], undefined, path);
});
