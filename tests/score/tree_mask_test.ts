import { assertEquals, assertThrows } from "@std/assert";
import { treeMask } from "../../mod.ts";

/** What each token sees. */
function seen(parents: number[]): number[][] {
  const { data, shape } = treeMask(parents);
  const size = parents.length;
  assertEquals(shape, [size, size]);
  return parents.map((_, row) =>
    Array.from({ length: size }, (_, i) => i).filter((i) => data[row * size + i])
  );
}

Deno.test("treeMask: a token sees itself and its ancestors", () => {
  assertEquals(seen([-1]), [[0]]);
  assertEquals(seen([-1, 0, 1]), [[0], [0, 1], [0, 1, 2]]);
  assertEquals(seen([-1, -1, -1]), [[0], [1], [2]]);
  assertEquals(seen([-1, 0, 0, 1, 2]), [[0], [0, 1], [0, 2], [0, 1, 3], [0, 2, 4]]);
});

Deno.test("treeMask: refuses what is no tree", () => {
  assertThrows(() => treeMask([]), RangeError, "parents.length=0");
  assertThrows(() => treeMask([0]), RangeError, "token=0, parent=0");
  assertThrows(() => treeMask([-1, 2, 0]), RangeError, "token=1, parent=2");
  assertThrows(() => treeMask([-2]), RangeError, "parents[0]=-2");
  assertThrows(() => treeMask([0.5]), RangeError, "parents[0]=0.5");
  assertThrows(() => treeMask(["0"] as never), TypeError, 'parents[0]="0"');
});

Deno.test("treeMask: refuses what is no array of parents, and more tokens than a mask has room for", () => {
  for (const wrong of [undefined, "ab", { length: 2, 0: -1, 1: 0 }]) {
    assertThrows(() => treeMask(wrong as never), TypeError, "parents must be an array");
  }
  assertThrows(() => treeMask(new Array(3)), TypeError, "parents[0] must be a number");
  assertThrows(() => treeMask([-1, "0" as never]), TypeError, 'parents[1]="0"');
  assertThrows(() => treeMask(new Array(2 ** 14 + 1)), RangeError, "tokens=16385");
});
