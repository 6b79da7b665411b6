// Composing modules, without a GPU.
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
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

Deno.test("compose: comments are no code, in marked loops either", () => {
  const body = "// } i ends\n x[i] = 1; /* } /* i */ } */ y;";
  const text = `/*unroll*/ for (var i = 0u; i < ROWS; i++) {${body}\n} z; // so`;
  const composed = compose({ constants: { ROWS: 2 }, fragments: [text] });
  const once = (i: number) => `{x[${i}u]=1;y;}`;
  assertEquals(
    composed.replace("const ROWS = 2u;", "").replace(/\s/g, ""),
    `${once(0)}${once(1)}z;`,
  );
});

Deno.test("compose: what is named like a loop's counter is not replaced where it is a member", () => {
  const text = "/*unroll*/ for (var x = 0u; x < ROWS; x++) {a[x] = b.x + c . x;}";
  const composed = compose({ constants: { ROWS: 1 }, fragments: [text] });
  assertEquals(composed.split("\n")[1], "{a[0u] = b.x + c . x;}");
});
