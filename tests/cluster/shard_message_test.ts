// Messages of shards: what is written is read again, to the byte that the format says, and what is damaged is refused.
import { assertEquals, assertThrows } from "@std/assert";
import { MessageError } from "../../src/cluster/mod.ts";
import {
  decodeShard,
  encodeNumbers,
  encodeShard,
  HEADER_BYTES,
  readExtend,
  readState,
  type ShardHeader,
} from "../../src/cluster/shard_message.ts";
import { testRandomly } from "../support/random.ts";

const SHAPE = { numHeads: 3, numKvHeads: 1, headDim: 5, valueDim: 2 };
const HEADER: ShardHeader = {
  ...{
    kind: "extend",
    dtype: "f32",
    isCausal: true,
    session: 2 ** 32 - 1,
    layer: 3,
    length: 70000,
  },
  ...{ appended: 2, queries: 4 },
};

testRandomly("Shard messages: an extend is read as it was written, in f32 and in f16", (random) => {
  for (const dtype of ["f32", "f16"] as const) {
    const header = { ...HEADER, dtype };
    const [k, v, q] = [10, 4, 60].map((length) => random.tensor([length]).data.map(Math.f16round));
    const bytes = encodeShard(header, ...[k, v, q].map((array) => encodeNumbers(array, dtype)));
    assertEquals(bytes.length, HEADER_BYTES + 74 * (dtype === "f16" ? 2 : 4));
    const read = decodeShard(bytes, bytes.length);
    assertEquals(read.header, header);
    assertEquals(readExtend(read.header, read.body, SHAPE), { k, v, q });
    for (const wrong of [bytes.subarray(0, -1), new Uint8Array([...bytes, 0])]) {
      const { header, body } = decodeShard(wrong, 1000);
      assertThrows(() => readExtend(header, body, SHAPE), MessageError, "bytes that its header");
    }
  }
});

Deno.test("Shard messages: the bytes of a header", () => {
  const bytes = encodeShard(HEADER, new Uint8Array([7]));
  assertEquals([...bytes], [
    ...[...new TextEncoder().encode("OHSH")],
    ...[1, 2, 0, 1, 255, 255, 255, 255, 3, 0, 0, 0, 0x70, 0x11, 1, 0, 2, 0, 0, 0, 4, 0, 0, 0, 7],
  ]);
});

Deno.test("Shard messages: a header that is damaged, of another version or too long is refused", () => {
  const bytes = encodeShard(HEADER, new Uint8Array(10));
  assertThrows(() => decodeShard(bytes, bytes.length - 1), MessageError, "maxBytes=37");
  assertThrows(
    () => decodeShard(bytes.subarray(0, HEADER_BYTES - 1), 99),
    MessageError,
    "bytes=27",
  );
  assertThrows(() => decodeShard(bytes.with(4, 2), 99), MessageError, "version=2");
  for (const [at, value] of [[0, 0], [5, 0], [5, 8], [6, 2], [7, 2]]) {
    assertThrows(() => decodeShard(bytes.with(at, value), 99), MessageError);
  }
});

Deno.test("Shard messages: a state of another length, or whose log-sum-exp is no number, is refused", () => {
  const header = { ...HEADER, kind: "state", queries: 1 } as const;
  const state = (lse: number[]) =>
    new Uint8Array([
      ...encodeNumbers(new Float32Array(6), "f32"),
      ...encodeNumbers(Float32Array.from(lse), "f32"),
    ]);
  assertEquals([...readState(header, state([1, -Infinity, -1e38]), SHAPE).lse.slice(0, 2)], [
    1,
    -Infinity,
  ]);
  for (const lse of [[1, NaN, 2], [1, 2, Infinity], [1, 2], []]) {
    assertThrows(() => readState(header, state(lse), SHAPE), MessageError);
  }
});
