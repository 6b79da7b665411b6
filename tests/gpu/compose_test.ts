// Composing modules, without a GPU; and the kernels' own text.
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import * as decoder from "../../kernels/model/mod.ts";
import { fragments, kernels } from "../../kernels/mod.ts";
import { compose } from "../../src/gpu/compose.ts";

Deno.test("compose: types, then constants, then fragments in their order", () => {
  assertEquals(
    compose({ types: { T: "f32" }, constants: { HEAD_DIM: 64, ROWS: 4 }, fragments: ["b", "a"] }),
    "alias T = f32;\nconst HEAD_DIM = 64u;\nconst ROWS = 4u;\nb\na",
  );
});

Deno.test("compose: enables come first, once, and only where they are needed", () => {
  const module = { constants: { A: 1 }, fragments: ["fn main() {}"] };
  assertMatch(compose({ ...module, types: { T: "f16" } }), /^enable f16;\nalias T = f16;/);
  const both = compose({ ...module, types: { T: "vec4<f16>", U: "f16" } });
  assertEquals(both.match(/enable f16;/g)?.length, 1);
  for (const code of [compose(module), compose({ ...module, types: { T: "f32" } })]) {
    assert(!code.includes("enable"));
  }
});

Deno.test("compose: no types, no constants", () => {
  assertEquals(compose({ constants: {}, fragments: ["fn main() {}"] }), "fn main() {}");
});

Deno.test("compose: marked loops are written out, nested ones too, and others are left alone", () => {
  const loop = (name: string, bound: string, body: string) =>
    `for (var ${name} = 0u; ${name} < ${bound}; ${name}++) {${body}}`;
  const inner = `/*unroll*/ ${loop("j", "COLUMNS", "x[i][j] = ij;")}`;
  const text = `a /*unroll*/ ${loop("i", "ROWS", inner)} b ${loop("i", "ROWS", "y;")}`;
  const composed = compose({ constants: { ROWS: 2, COLUMNS: 1 }, fragments: [text] });
  assertEquals(
    composed.split("\n").slice(2).join(""),
    `a {{x[0u][0u] = ij;}}{{x[1u][0u] = ij;}} b ${loop("i", "ROWS", "y;")}`,
  );
  assertThrows(() => compose({ constants: {}, fragments: [text] }), SyntaxError, "ROWS");
});

Deno.test("kernels: each has one entry point main, fragments have none", () => {
  for (const [name, code] of Object.entries(kernels)) {
    assertEquals(code.match(/@compute/g)?.length, 1, name);
    assertMatch(code, /@compute @workgroup_size\(WORKGROUP\)\nfn main\(/);
  }
  for (const [name, code] of Object.entries(fragments)) assert(!code.includes("@compute"), name);
});

Deno.test("kernels and fragments: each opens with its name and its purpose", () => {
  const snakeCase = (name: string) =>
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  for (const [name, code] of Object.entries({ ...kernels, ...fragments })) {
    assert(code.startsWith(`// ${snakeCase(name)}: `), name);
  }
});

// By WGSL's table of accuracies, some hundred units in the last place or more; pow by the size of its exponent.
const INACCURATE = "a?(sin|cos|tan)h?|atan2|pow";

/** Every text of a kernel or a fragment, by its name, without its comments. */
const TEXTS = Object.entries({ ...kernels, ...fragments, ...decoder.kernels, ...decoder.fragments })
  .map(([name, code]) => [name, code.replace(/\/\/.*/g, "")] as const);

// Some compilers give a variable without a value its zero once, and not in every round of the loop that declares it.
Deno.test("kernels: a variable that a loop declares begins with a value", () => {
  for (const [name, code] of TEXTS) {
    const blocks: boolean[] = [];
    for (
      const [token] of code.matchAll(/(\/\*unroll\*\/ )?\bfor \([^{]*\{|\bvar \w+: [^=;]+;|[{}]/g)
    ) {
      if (token.startsWith("var")) assert(!blocks.includes(true), `${name}: ${token}`);
      else if (token === "}") blocks.pop();
      else blocks.push(token.startsWith("for"));
    }
  }
});

Deno.test("kernels: no function that devices may compute to a few digits", () => {
  const call = new RegExp(`\\b(${INACCURATE})\\(`);
  for (const [name, code] of TEXTS) assertEquals(code.match(call)?.[0], undefined, name);
});
