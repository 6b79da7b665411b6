import { assertEquals, assertThrows } from "@std/assert";
import { joinQkv, splitQkv } from "../../mod.ts";
import { testRandomly } from "../support/random.ts";

Deno.test("splitQkv() knows both arrangements", () => {
  const split =
    (numHeads: number, numKvHeads: number, arrangement: "concatenated" | "interleaved") =>
    // Rows tell their heads: two elements each, with two inputs.
    (rows: string) => {
      const fused = rows.split(" ").flatMap((row) => [0, 0, 1, 1].map((x) => Number(row) + x / 2));
      const parts = splitQkv(fused, { numHeads, numKvHeads, headDim: 2, arrangement });
      const text = (part: Float32Array) => {
        const heads = Array.from({ length: part.length / 4 }, (_, i) => part[4 * i]);
        const whole = heads.flatMap((head) => [0, 0, 1, 1].map((x) => head + x / 2));
        assertEquals([...part], whole);
        return heads.join(" ");
      };
      return [text(parts.q), text(parts.k), text(parts.v)];
    };
  // Query heads 10, 11, ...; keys 20, ...; values 30, ...
  assertEquals(split(4, 2, "concatenated")("10 11 12 13 20 21 30 31"), [
    ...["10 11 12 13", "20 21", "30 31"],
  ]);
  assertEquals(split(4, 2, "interleaved")("10 11 20 30 12 13 21 31"), [
    ...["10 11 12 13", "20 21", "30 31"],
  ]);
  assertEquals(split(2, 2, "interleaved")("10 20 30 11 21 31"), ["10 11", "20 21", "30 31"]);
  for (const arrangement of ["concatenated", "interleaved"] as const) {
    assertEquals(split(3, 1, arrangement)("10 11 12 20 30"), ["10 11 12", "20", "30"]);
  }
});

Deno.test("splitQkv() splits biases and copies", () => {
  const options = { numHeads: 2, numKvHeads: 1, headDim: 1, arrangement: "concatenated" } as const;
  const bias = new Float32Array([1, 2, 3, 4]);
  const { q, k, v } = splitQkv(bias, options);
  assertEquals([[...q], [...k], [...v]], [[1, 2], [3], [4]]);
  q[0] = 9;
  assertEquals(bias[0], 1);
});

Deno.test("splitQkv() refuses what does not divide", () => {
  const good = { numHeads: 4, numKvHeads: 2, headDim: 2, arrangement: "concatenated" };
  const split = (elements: number, wrong: unknown) => () =>
    splitQkv(new Float32Array(elements), { ...good, ...wrong as typeof good } as never);
  assertThrows(split(17, {}), RangeError, "elements=17, rows=16");
  assertThrows(split(0, {}), RangeError, "elements=0");
  assertThrows(split(16, { numKvHeads: 3 }), RangeError, "numKvHeads=3");
  assertThrows(split(16, { headDim: 0 }), RangeError, "headDim=0");
  assertThrows(split(16, { numHeads: "4" }), TypeError, 'numHeads="4"');
  assertThrows(split(16, { arrangement: "mixed" }), TypeError, 'arrangement="mixed"');
});

testRandomly("joinQkv() undoes splitQkv(), in both arrangements, also of biases", (random) => {
  for (const arrangement of ["concatenated", "interleaved"] as const) {
    const [numKvHeads, group, headDim, inputs] = [1, 2, 3, 4].map(() => random.integer(1, 3));
    const options = { numHeads: numKvHeads * group, numKvHeads, headDim, arrangement };
    const rows = (options.numHeads + 2 * numKvHeads) * headDim;
    for (const fused of [random.tensor([rows, inputs]).data, random.tensor([rows]).data]) {
      assertEquals(joinQkv(splitQkv(fused, options), options), Float32Array.from(fused));
    }
  }
});

Deno.test("joinQkv() refuses what does not divide", () => {
  const good = { numHeads: 4, numKvHeads: 2, headDim: 2, arrangement: "concatenated" } as const;
  const join = (sizes: number[], wrong: object = {}) => () => {
    const [q, k, v] = sizes.map((size) => new Float32Array(size));
    joinQkv({ q, k, v }, { ...good, ...wrong });
  };
  join([16, 8, 8])();
  assertThrows(join([16, 8, 6]), RangeError, "v=6");
  assertThrows(join([16, 4, 4]), RangeError, "k=4");
  assertThrows(join([12, 6, 6]), RangeError, "q=12");
  assertThrows(join([0, 0, 0]), RangeError, "q=0");
  assertThrows(join([16, 8, 8], { numKvHeads: 3 }), RangeError, "numKvHeads=3");
});
