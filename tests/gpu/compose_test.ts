// Composing modules, without a GPU.
import { assertEquals, assertThrows } from "@std/assert";
import { compose, join, type WgslPiece } from "../../src/gpu/compose.ts";

const NAGA = { enableSubgroups: false };
const DAWN = { enableSubgroups: true };

/** The text of a module of pieces. */
function codeOf(pieces: readonly WgslPiece[], dialect = NAGA): string {
  return compose(join("test", ...pieces), dialect).code;
}

Deno.test("join: what several pieces bring alike counts once, in the order of the pieces", () => {
  const one = { types: { T: "f32" }, constants: { A: 1 }, fragments: ["a", "b"] };
  const two = { types: { T: "f32" }, constants: { A: 1, B: 2 }, fragments: ["b", "c"] };
  assertEquals(join("test", one, {}, two), {
    label: "test",
    types: { T: "f32" },
    constants: { A: 1, B: 2 },
    fragments: ["a", "b", "c"],
  });
});

Deno.test("join: two values for one constant or type are refused, by their names", () => {
  const says = (of: string) => `Cannot compose test as ${of}`;
  assertThrows(
    () => join("test", { constants: { ROWS: 4 } }, { constants: { ROWS: 0 } }),
    RangeError,
    says("ROWS must have one value: current values one=4, another=0"),
  );
  assertThrows(
    () => join("test", { types: { T: "f32" } }, { types: { T: "f16" } }),
    RangeError,
    says('T must have one value: current values one="f32", another="f16"'),
  );
});

Deno.test("compose: types, then constants, then fragments in their order", () => {
  const pieces = [
    { types: { T: "f32" }, constants: { HEAD_DIM: 64, ROWS: 4 } },
    { fragments: ["const B = 1;", "const A = 2;"] },
  ];
  assertEquals(
    codeOf(pieces),
    "alias T = f32;\nconst HEAD_DIM = 64u;\nconst ROWS = 4u;\nconst B = 1;\nconst A = 2;",
  );
  assertEquals(codeOf([{ fragments: ["fn main() {}"] }]), "fn main() {}");
});

Deno.test("compose: extensions come first, once, where the code shows them and the compiler wants them", () => {
  const using = (fragment: string, dialect: typeof NAGA) =>
    codeOf([{ fragments: [fragment] }], dialect).split("\n").slice(0, -1).join("");
  const [f16, sums] = ["const A: vec4<f16> = vec4<f16>();", "fn f() { subgroupBarrier(); }"];
  const matrix = "alias M = subgroup_matrix_left<f16, 8, 8>;";
  const chromium = "enable chromium_experimental_subgroup_matrix;";
  assertEquals(using(f16, NAGA), "enable f16;");
  assertEquals(using(`${f16} ${sums}`, DAWN), "enable f16;enable subgroups;");
  assertEquals(using(sums, NAGA), "");
  assertEquals(using(matrix, DAWN), `enable f16;${chromium}`);
  assertEquals(using("fn f() { let x = unpack2x16float(1u); }", DAWN), "");
  // Also where a type is all that shows it.
  assertEquals(codeOf([{ types: { T: "f16" } }]), "enable f16;\nalias T = f16;");
});

Deno.test("compose: bindings are numbered in the order of their variables", () => {
  const first = "var<storage, read_write> y: array<f32>;\nvar<workgroup> shared_: u32;";
  const second =
    "struct Params { a: u32 }\nvar<uniform> params: Params;\nvar<storage> x: array<u32>;";
  const third = "var<storage,read> z: array<u32>;\nvar<private> own: u32;";
  const { code, bindings } = compose(join("test", { fragments: [first, second, third] }), NAGA);
  assertEquals(bindings, [
    { name: "y", binding: 0, type: "storage" },
    { name: "params", binding: 1, type: "uniform" },
    { name: "x", binding: 2, type: "read-only-storage" },
    { name: "z", binding: 3, type: "read-only-storage" },
  ]);
  assertEquals(code.match(/@group\(0\) @binding\(\d\) var<[^>]*> \w+/g), [
    "@group(0) @binding(0) var<storage, read_write> y",
    "@group(0) @binding(1) var<uniform> params",
    "@group(0) @binding(2) var<storage> x",
    "@group(0) @binding(3) var<storage,read> z",
  ]);
});

Deno.test("compose: textures are bound as buffers are", () => {
  const text = "var<storage> x: array<u32>;\nvar read: texture_2d<f32>;\n" +
    "var written : texture_storage_2d<rgba32float, write>;\n" +
    "fn f() { var texel: vec4f = textureLoad(read, vec2u(), 0); textureStore(written, vec2u(), texel); }";
  const { code, bindings } = compose(join("test", { fragments: [text] }), NAGA);
  assertEquals(bindings, [
    { name: "x", binding: 0, type: "read-only-storage" },
    { name: "read", binding: 1, type: "texture" },
    { name: "written", binding: 2, type: "storage-texture" },
  ]);
  assertEquals(code.match(/@group\(0\) @binding\(\d\) var \w+/g), [
    "@group(0) @binding(1) var read",
    "@group(0) @binding(2) var written",
  ]);
});

Deno.test("compose: what nothing declares is refused by its name", () => {
  const pieces = [
    { types: { T: "vec4<Missing>" }, constants: { ROWS: 2 } },
    { fragments: ["fn a(x: T) -> u32 { return ROWS + b(x) + COLUMNS; }"] },
    { fragments: ["fn c() { let y = max(1u, 2u); }"] },
  ];
  const says =
    'Cannot compose test as a piece must declare each name that another needs: current value undeclared=["b", "COLUMNS", "Missing"]';
  assertThrows(() => codeOf(pieces), TypeError, says);
});

Deno.test("compose: what two pieces declare is refused by its name", () => {
  const pieces = [
    { types: { T: "u32" }, constants: { ROWS: 2 } },
    { fragments: ["const ROWS = 3u; fn a() {}", "fn a() {} alias U = T;"] },
  ];
  const says =
    'Cannot compose test as one piece must declare a name: current value declared=["ROWS", "a"]';
  assertThrows(() => codeOf(pieces), TypeError, says);
});

Deno.test("compose: marked loops are written out, nested ones too, and others are left alone", () => {
  const loop = (name: string, bound: string, body: string) =>
    `for (var ${name} = 0u; ${name} < ${bound}; ${name}++) {${body}}`;
  const inner = `/*unroll*/ ${loop("j", "COLUMNS", "x[i][j] = ij;")}`;
  const text = `/*unroll*/ ${loop("i", "ROWS", inner)} ${loop("i", "ROWS", "y;")}`;
  const piece = { fragments: [`fn main() { let x = 1; let y = 1; let ij = 1; ${text} }`] };
  const composed = codeOf([{ constants: { ROWS: 2, COLUMNS: 1 } }, piece]);
  assertEquals(
    composed.split("\n").slice(2).join("").split("ij = 1; ")[1],
    `{{x[0u][0u] = ij;}}{{x[1u][0u] = ij;}} ${loop("i", "ROWS", "y;")} }`,
  );
  const declared = { fragments: ["const ROWS = 2u; const COLUMNS = 1u;"] };
  assertThrows(() => codeOf([declared, piece]), SyntaxError, "ROWS is no constant");
});

Deno.test("compose: comments are no code, in marked loops either", () => {
  const body = "// } i ends\n x[i] = 1; /* } /* i */ } */ y;";
  const text = `fn main(x: u32, y: u32, z: u32) {
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {${body}\n} z; // so
  }`;
  const composed = codeOf([{ constants: { ROWS: 2 }, fragments: [text] }]);
  const once = (i: number) => `{x[${i}u]=1;y;}`;
  assertEquals(
    composed.split("{").slice(1).join("{").replace(/\s/g, ""),
    `${once(0)}${once(1)}z;}`,
  );
});

Deno.test("compose: a member that is named like a loop's counter stays", () => {
  const loop = "/*unroll*/ for (var x = 0u; x < ROWS; x++) {a[x] = b.x + c . x;}";
  const text = `fn main(a: u32, b: u32, c: u32) { ${loop} }`;
  const composed = codeOf([{ constants: { ROWS: 1 }, fragments: [text] }]);
  assertEquals(
    composed.split("\n")[1],
    "fn main(a: u32, b: u32, c: u32) { {a[0u] = b.x + c . x;} }",
  );
});
