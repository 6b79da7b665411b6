// What WGSL declares, and what it needs from elsewhere.
import { assertEquals } from "@std/assert";
import { declarationsOf, namesOf } from "../../src/gpu/wgsl_names.ts";

const TEXT = `
struct Row { first: u32, size: Size, values: array<Pack, ROWS>, @align(16) last: vec3u }
alias Sums = array<Wide, COUNT>;
const TWICE = 2u * HALF;
override LANES: u32 = 8u;
var<storage, read> x: array<Stored>;
var image: texture_2d<f32>;
var<workgroup> shared_: array<atomic<u32>, LANES>;
@compute @workgroup_size(WORKGROUP, 1, 1)
fn main(@builtin(local_invocation_index) lane: u32, row: ptr<function, Row>) -> Output {
  const own = 3;
  var total = 0x7fu + 1.5e3;
  for (var i = 0u; i < LANES; i++) {
    let value: Value = helper(x[i].first, (*row).size);
    total += select(value, total, value > LIMIT) + other.xyz;
  }
  switch (total) { case CASE: { return total; } default { discard; } }
}
fn second() { lane = subgroupAdd(bitcast<i32>(1)); }
`;

Deno.test("namesOf: declarations of the module's scope", () => {
  assertEquals([...namesOf(TEXT).declared], [
    ...["Row", "Sums", "TWICE", "LANES", "x", "image", "shared_", "main", "second"],
  ]);
});

Deno.test("namesOf: names that are neither declared nor WGSL's, whatever is local where", () => {
  assertEquals(
    [...namesOf(TEXT).needed].sort(),
    [
      ...["COUNT", "HALF", "LIMIT", "Output", "Pack", "ROWS", "Size", "Stored", "Value"],
      ...["WORKGROUP", "Wide", "helper", "lane", "other"],
    ].sort(),
  );
});

Deno.test("namesOf: a local counts in its own function alone", () => {
  const text = "fn a() { let rows = 1; use(rows); } fn b() { use(rows); } fn use(x: u32) {}";
  assertEquals([...namesOf(text).needed], ["rows"]);
});

Deno.test("declarationsOf: one after the other, none is lost", () => {
  const text = "alias A = f32; fn f() { let x = 1; { y; } } const B = 1;\nstruct C { a: u32 }";
  const trimmed = declarationsOf(text).map((declaration) => declaration.trim()).filter(Boolean);
  assertEquals(trimmed, [
    ...["alias A = f32;", "fn f() { let x = 1; { y; } }", "const B = 1;", "struct C { a: u32 }"],
  ]);
});
