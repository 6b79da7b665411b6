// The layout of uniforms, and their values as bytes.
import { assertEquals, assertThrows } from "@std/assert";
import { bytesOf, uniformLayout, type UniformValues } from "../../src/gpu/host_layout.ts";

const CODE = `
const COUNT = 2u;
struct Inner { a: vec3u, b: f32 }
struct Params {
  first: u32,
  inner: Inner,
  pair: vec2f,
  last: i32,
  list: array<vec4u, COUNT>,
  end: vec3i,
}
var<uniform> params: Params;
var<uniform> perHead: array<vec4f, 3u>;
var<uniform> triples: array<vec3f, 3u>;
`;
const VALUES: UniformValues = {
  first: 1,
  inner: { a: [2, 3, 4], b: 0.5 },
  pair: [-1, 1.5],
  last: -7,
  list: [1, 2, 3, 4, 5, 6, 7, 8],
  end: [-1, -2, -3],
  unknown: 9,
};

function bytes(values: UniformValues): ArrayBuffer {
  return bytesOf("test", "params", uniformLayout(CODE, "params"), values);
}

Deno.test("layout: members are where WGSL has them", () => {
  const view = new DataView(bytes(VALUES));
  // A struct is aligned to 16 here, a scalar may follow a vector of three, and sizes are whole alignments.
  assertEquals(view.byteLength, 96);
  assertEquals(view.getUint32(0, true), 1);
  assertEquals([16, 20, 24].map((at) => view.getUint32(at, true)), [2, 3, 4]);
  assertEquals(view.getFloat32(28, true), 0.5);
  assertEquals([32, 36].map((at) => view.getFloat32(at, true)), [-1, 1.5]);
  assertEquals(view.getInt32(40, true), -7);
  assertEquals(Array.from({ length: 8 }, (_, i) => view.getUint32(48 + 4 * i, true)), [
    ...[1, 2, 3, 4, 5, 6, 7, 8],
  ]);
  assertEquals([80, 84, 88].map((at) => view.getInt32(at, true)), [-1, -2, -3]);
  const { size, align } = uniformLayout(CODE, "perHead");
  assertEquals([size, align], [48, 16]);
  // Elements lie as far apart as they are aligned.
  assertEquals(uniformLayout(CODE, "triples").size, 48);
});

Deno.test("layout: what is missing, too long or none of its type is refused by its name", () => {
  const wrong = (changes: Record<string, unknown>) => () =>
    bytes({ ...VALUES, ...changes } as UniformValues);
  const says = (rule: string) => `Cannot test as params.${rule}`;
  assertThrows(wrong({ last: undefined }), TypeError, says("last must be a number"));
  assertThrows(wrong({ inner: { a: [1, 2, 3] } }), TypeError, says("inner.b must be a number"));
  assertThrows(wrong({ inner: 3 }), TypeError, says("inner must be an object"));
  assertThrows(wrong({ pair: 3 }), TypeError, says("pair must be a list of numbers"));
  assertThrows(wrong({ pair: [1] }), RangeError, says("pair must be 2 numbers"));
  assertThrows(wrong({ list: [1, 2, 3, 4] }), RangeError, says("list must be 8 numbers"));
  assertThrows(wrong({ end: [1, "2", 3] }), TypeError, says("end[1] must be a number"));
  for (const first of [-1, 0.5, 2 ** 32, NaN]) {
    assertThrows(wrong({ first }), RangeError, says("first must be of u32"));
  }
  assertThrows(wrong({ last: 2 ** 31 }), RangeError, says("last must be of i32"));
});

Deno.test("layout: a type that it does not read is refused, not guessed", () => {
  const layout = (type: string) => () => uniformLayout(`var<uniform> x: ${type};`, "x");
  for (const type of ["f16", "mat2x2f", "vec3h", "Missing", "array<u32, SOME>", "array<u32>"]) {
    assertThrows(layout(type), SyntaxError, "Cannot read a layout as");
  }
  assertThrows(() => uniformLayout("", "x"), SyntaxError, "no uniform is x");
});
