// The text of the kernels, as files and as the modules written from them.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { FOLDERS, moduleOf, textsOf } from "../../tools/kernels.ts";

const TEXTS = FOLDERS.flatMap(textsOf);

for (const folder of FOLDERS) {
  Deno.test(`${folder}/mod.ts holds the files' texts: run "deno task kernels" where it does not`, async () => {
    assertEquals(await Deno.readTextFile(`${folder}/mod.ts`), moduleOf(folder));
  });
}

Deno.test("kernels: names are one each in all folders", () => {
  for (const folder of FOLDERS) {
    const names = textsOf(folder).map(({ name }) => name);
    assertEquals(names, [...new Set(names)]);
  }
});

Deno.test("kernels: each file has one entry point main at most", () => {
  for (const { path, text } of TEXTS) {
    const entries = text.match(/@compute[^{]*/g) ?? [];
    assert(entries.length <= 1, path);
    for (const entry of entries) {
      assertMatch(entry, /^@compute @workgroup_size\(WORKGROUP\) ?\nfn main\(/, path);
    }
  }
});

Deno.test("kernels: each file opens with its name and its purpose", () => {
  for (const { path, source } of TEXTS) {
    assertMatch(source, /^\/\/ \w+: \w/, path);
  }
});

// By WGSL's table of accuracies, some hundred units in the last place or more; pow by the size of its exponent.
const INACCURATE = "a?(sin|cos|tan)h?|atan2|pow";

// Some compilers give a variable without a value its zero once, and not in every round of the loop that declares it.
Deno.test("kernels: a variable that a loop declares begins with a value", () => {
  for (const { path, text } of TEXTS) {
    const blocks: boolean[] = [];
    for (
      const [token] of text.matchAll(/(\/\*unroll\*\/ )?\bfor \([^{]*\{|\bvar \w+: [^=;]+;|[{}]/g)
    ) {
      if (token.startsWith("var")) assert(!blocks.includes(true), `${path}: ${token}`);
      else if (token === "}") blocks.pop();
      else blocks.push(token.startsWith("for"));
    }
  }
});

Deno.test("kernels: no function that devices may compute to a few digits", () => {
  const call = new RegExp(`\\b(${INACCURATE})\\(`);
  for (const { path, text } of TEXTS) assertEquals(text.match(call)?.[0], undefined, path);
});
