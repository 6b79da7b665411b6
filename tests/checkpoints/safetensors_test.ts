import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  bytesInMemory,
  CheckpointError,
  openCheckpoint,
  openFile,
  Safetensors,
  ShardedSafetensors,
} from "../../src/checkpoints/mod.ts";
import { STORIES, testStories } from "../support/stories.ts";
import { encode, inFolder, numbered, safetensors } from "../support/checkpoint_files.ts";

const open = (bytes: Uint8Array) => Safetensors.open(bytesInMemory("a.safetensors", bytes));
const zeros = (length: number) => new Uint8Array(length);
const f32 = (shape: unknown, begin: unknown, end: unknown) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

Deno.test("Safetensors reads F32, F16 and BF16 from unaligned data, listed in any order", async () => {
  const data = new DataView(new ArrayBuffer(15));
  data.setUint8(0, 7);
  [1, -2.5, 65504].forEach((value, i) => data.setFloat16(1 + 2 * i, value, true));
  data.setFloat32(7, 0.1, true);
  data.setUint16(11, 0x3f80, true);
  data.setUint16(13, 0xc049, true);
  const header = {
    pi: { dtype: "BF16", shape: [2], data_offsets: [11, 15] },
    tenth: { dtype: "F32", shape: [], data_offsets: [7, 11] },
    half: { dtype: "F16", shape: [3, 1], data_offsets: [1, 7] },
    flag: { dtype: "BOOL", shape: [1], data_offsets: [0, 1] },
  };
  // The odd start checks that offsets are counted within the view, not within its buffer.
  const encoded = encode(header, new Uint8Array(data.buffer));
  const buffer = new Uint8Array(encoded.length + 4);
  buffer.set(encoded, 3);
  const file = await open(buffer.subarray(3, -1));

  assertEquals(file.names, ["pi", "tenth", "half", "flag"]);
  assertEquals(file.metadata, {});
  assertEquals(file.describe("half"), {
    file: "a.safetensors",
    dtype: "F16",
    shape: [3, 1],
    bytes: 6,
  });
  assertEquals(file.describe("quarter"), undefined);
  assertEquals(await file.read("half"), {
    shape: [3, 1],
    data: new Float32Array([1, -2.5, 65504]),
  });
  assertEquals(await file.read("tenth"), { shape: [], data: new Float32Array([0.1]) });
  assertEquals(await file.read("pi"), { shape: [2], data: new Float32Array([1, -3.140625]) });
});

Deno.test("Safetensors reads BF16 infinities and NaN, and small F16, as they are", async () => {
  const data = new DataView(new ArrayBuffer(10));
  [0x7f80, 0xff80, 0x7fc0].forEach((bits, i) => data.setUint16(2 * i, bits, true));
  [0x0001, 0x8000].forEach((bits, i) => data.setUint16(6 + 2 * i, bits, true));
  const file = await open(encode({
    b: { dtype: "BF16", shape: [3], data_offsets: [0, 6] },
    h: { dtype: "F16", shape: [2], data_offsets: [6, 10] },
  }, new Uint8Array(data.buffer)));
  assertEquals([...(await file.read("b")).data], [Infinity, -Infinity, NaN]);
  assertEquals([...(await file.read("h")).data], [2 ** -24, -0]);
});

Deno.test("Safetensors reads metadata, empty tensors and padded or empty headers", async () => {
  const header = `{"__metadata__":{"format":"pt"},"b":${JSON.stringify(f32([1], 0, 4))},` +
    `"a":${JSON.stringify(f32([0, 8], 0, 0))}}    `;
  const file = await open(encode(header, zeros(4)));
  assertEquals(file.metadata, { format: "pt" });
  assertEquals(file.names, ["b", "a"]);
  assertEquals(await file.read("a"), { shape: [0, 8], data: new Float32Array() });
  assertEquals((await file.read("b")).data, new Float32Array(1));
  assertEquals((await open(encode({}))).names, []);
});

Deno.test("Safetensors.read() copies", async () => {
  const file = await open(encode({ a: f32([1], 0, 4) }, zeros(4)));
  const { data, shape } = await file.read("a");
  data[0] = 5;
  (shape as number[])[0] = 5;
  assertEquals(await file.read("a"), { shape: [1], data: new Float32Array(1) });
});

Deno.test("Safetensors.read() refuses what is not there and what is not a float", async () => {
  const i64 = { dtype: "I64", shape: [1], data_offsets: [0, 8] };
  const f4 = { dtype: "F4", shape: [2], data_offsets: [8, 9] };
  const file = await open(encode({ ids: i64, tiny: f4 }, zeros(9)));
  const refuses = (name: string, message: string) =>
    assertRejects(() => file.read(name), CheckpointError, message);
  await refuses("idx", 'tensor "idx" of a.safetensors');
  await refuses("idx", '["ids", "tiny"]');
  await refuses("ids", 'dtype="I64"');
  await refuses("tiny", 'dtype="F4"');
});

const invalidUtf8 = encode({ __metadata__: { a: "?" } });
invalidUtf8[invalidUtf8.indexOf("?".charCodeAt(0))] = 0xff;
const hugeHeader = encode({});
hugeHeader[7] = 0xff;
const of = (name: string) => `tensor "${name}" of a.safetensors`;
const noJson = "the header of a.safetensors as it is no JSON";
const noBrace = "the header of a.safetensors as it must begin with a brace";

const DAMAGED: [what: string, bytes: Uint8Array, says: string][] = [
  ["an empty file", zeros(0), "size=0"],
  ["a file shorter than the header length", encode({}).subarray(0, 7), "size=7"],
  [
    "a header longer than the file",
    encode({ a: f32([0], 0, 0) }).subarray(0, -1),
    "header=54, rest=53",
  ],
  ["a header length beyond 2^53", hugeHeader, "header=18374686479671623682"],
  ["a header that is not UTF-8", invalidUtf8, "must be text in UTF-8"],
  ["a header that starts with a byte order mark", encode("\ufeff{}"), noBrace],
  ["a header of no bytes", zeros(8), noBrace],
  ["a header that is not JSON", encode("{'a': 1}"), noJson],
  [
    "a header that is an array",
    encode([1, 2]),
    "must begin with a brace (it is damaged: fetch the file again): current values byte=91",
  ],
  ["a header that is null", encode(null), noBrace],
  ["metadata that is text", encode({ __metadata__: "pt" }), '__metadata__="pt"'],
  ["metadata that is null", encode({ __metadata__: null }), "__metadata__=null"],
  [
    "metadata that holds a number",
    encode({ __metadata__: { format: "pt", version: 1 } }),
    '__metadata__={"format":"pt", "version":1}',
  ],
  ["an entry that is not an object", encode({ a: 1 }), "a JSON object: current value entry=1"],
  [
    "a missing dtype",
    encode({ a: { shape: [], data_offsets: [0, 4] } }, zeros(4)),
    `${of("a")} as its dtype must be a string: current value dtype=undefined`,
  ],
  ["a shape that is not an array", encode({ a: f32(1, 0, 4) }, zeros(4)), "current value shape=1"],
  ["a negative size", encode({ a: f32([-1, -1], 0, 4) }, zeros(4)), "shape=[-1, -1]"],
  ["a fractional size", encode({ a: f32([0.5, 2], 0, 4) }, zeros(4)), "shape=[0.5, 2]"],
  ["a size that is text", encode({ a: f32(["1"], 0, 4) }, zeros(4)), 'shape=["1"]'],
  [
    "one offset",
    encode({ a: { dtype: "F32", shape: [1], data_offsets: [0] } }, zeros(4)),
    "data_offsets=[0]",
  ],
  ["a fractional offset", encode({ a: f32([1], 0.5, 4.5) }, zeros(4)), "data_offsets=[0.5, 4.5]"],
  ["a negative offset", encode({ a: f32([1], -4, 0) }, zeros(4)), "data_offsets=[-4, 0]"],
  [
    "an offset beyond 2^53",
    encode({ a: f32([1], 2 ** 53, 2 ** 53 + 4) }, zeros(4)),
    "data_offsets=[9007199254740992, 9007199254740996]",
  ],
  ["offsets out of order", encode({ a: f32([1], 4, 0) }, zeros(4)), "begin=4, end=0"],
  [
    "data shorter than the shape",
    encode({ a: f32([2, 3], 0, 20) }, zeros(20)),
    'shape=[2, 3], dtype="F32", needed=24, data_offsets=[0, 20], bytes=20',
  ],
  [
    "data longer than the shape, in a type that is not read",
    encode({ a: { dtype: "I8", shape: [3], data_offsets: [0, 4] } }, zeros(4)),
    "needed=3, data_offsets=[0, 4], bytes=4",
  ],
  [
    "a shape whose product is no number",
    encode({ a: f32([2 ** 53 - 1, ...Array(40).fill(2 ** 53 - 1), 0], 0, 0) }),
    "needed=NaN",
  ],
  [
    "data beyond the file",
    encode({ a: f32([1], 0, 4), b: f32([2], 4, 12) }, zeros(11)),
    `${of("b")} as its data must end within the file`,
  ],
  [
    "overlapping tensors",
    encode({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, zeros(12)),
    `${of("b")} as its data must not overlap tensor "a": current values begin=4, endOfPrevious=8`,
  ],
  [
    "two tensors on the same bytes",
    encode({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, zeros(4)),
    `${of("b")} as its data must not overlap tensor "a"`,
  ],
  [
    "a hole before the first tensor",
    encode({ a: f32([1], 4, 8) }, zeros(8)),
    `${of("a")} as its data must follow the header without a hole`,
  ],
  [
    "a hole between tensors",
    encode({ b: f32([1], 6, 10), a: f32([1], 0, 4) }, zeros(10)),
    `${of("b")} as its data must follow tensor "a" without a hole`,
  ],
  [
    "bytes after the last tensor",
    encode({ a: f32([1], 0, 4) }, zeros(7)),
    'nothing may follow tensor "a" (use no name twice): current values end=4, dataBytes=7',
  ],
  ["data without tensors", encode({}, zeros(1)), "nothing may follow the header"],
  [
    "a name used twice",
    encode(
      `{"a":${JSON.stringify(f32([1], 0, 4))},"a":${JSON.stringify(f32([1], 4, 8))}}`,
      zeros(8),
    ),
    "use no name twice",
  ],
];

for (const [what, bytes, says] of DAMAGED) {
  Deno.test(`Safetensors refuses ${what}`, async () => {
    const { message } = await assertRejects(() => open(bytes), CheckpointError, says);
    assertStringIncludes(message, "a.safetensors");
  });
}

Deno.test("Safetensors takes no header that is longer than the format allows", async () => {
  const source = bytesInMemory("a.safetensors", encode({}));
  const lying = {
    ...source,
    size: 2 ** 33,
    read: (offset: number, length: number) => {
      if (offset > 0) throw new Error(`${length} bytes were asked for`);
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, 2n ** 32n, true);
      return Promise.resolve(bytes);
    },
  };
  await assertRejects(() => Safetensors.open(lying), CheckpointError, "bytes=4294967296");
});

Deno.test("a source may answer with a part of its memory, not with fewer bytes", async () => {
  const { name, size, close, ...rest } = bytesInMemory("a", safetensors({ a: numbered([3]) }));
  const within = async (offset: number, length: number) => {
    const larger = new Uint8Array(length + 5);
    larger.set(await rest.read(offset, length), 3);
    return larger.subarray(3, -2);
  };
  const file = await Safetensors.open({ name, size, close, read: within });
  assertEquals(await file.read("a"), numbered([3]));
  const less = async (offset: number, length: number) => (await within(offset, length)).subarray(1);
  const opening = Safetensors.open({ name, size, close, read: less });
  await assertRejects(() => opening, CheckpointError, "it ends before");
});

Deno.test("a message is short, however long or deep what is damaged", async () => {
  const long = "x".repeat(1e6);
  const deep = "[".repeat(1e6) + "]".repeat(1e6);
  const headers: unknown[] = [
    { [long]: { dtype: 1, shape: Array(1e5).fill(7) } },
    { [long]: f32([1], 0, 4), [`${long}y`]: f32([1], 0, 4) },
    `{"a":${deep}}`,
    `{"a":{"dtype":${deep}}}`,
    `{"a":{"dtype":"F32","shape":${deep}}}`,
    `{"__metadata__":${deep}}`,
    deep,
  ];
  for (const header of headers) {
    const { message } = await assertRejects(() => open(encode(header, zeros(8))), CheckpointError);
    assert(message.length < 1000, message);
  }
  const file = await open(encode({ [long]: f32([1], 0, 4) }, zeros(4)));
  const { message } = await assertRejects(() => file.read(`${long}y`), CheckpointError);
  assert(message.length < 1000, message);
});

Deno.test("Safetensors reads files in ranges, and says what is wrong with them", async () => {
  const tensors = { a: numbered([2, 3]), b: numbered([4]) };
  await inFolder({ "model.safetensors": safetensors(tensors) }, async (folder) => {
    const path = `${folder}/model.safetensors`;
    const file = await Safetensors.open(await openFile(path));
    assertEquals(await file.read("b"), tensors.b);
    await Deno.truncate(path, Deno.statSync(path).size - 4);
    assertEquals(await file.read("a"), tensors.a);
    await assertRejects(() => file.read("b"), CheckpointError, path);
    await file.close();
    await assertRejects(() => file.read("a"), CheckpointError, path);
    // A file that does not open is closed: the test would tell of what leaks.
    await assertRejects(async () => Safetensors.open(await openFile(path)), CheckpointError, path);
    await assertRejects(() => openFile(`${folder}/absent`), CheckpointError, `${folder}/absent`);
    await assertRejects(() => openFile(folder), CheckpointError, folder);
  });
});

Deno.test("where the runtime has no Float16Array, F16 is refused and the others are read", async () => {
  const file = await open(
    encode({ a: f32([1], 0, 4), h: { ...f32([1], 4, 6), dtype: "F16" } }, zeros(6)),
  );
  const { Float16Array } = globalThis;
  Reflect.deleteProperty(globalThis, "Float16Array");
  try {
    assertEquals((await file.read("a")).data, new Float32Array(1));
    await assertRejects(() => file.read("h"), TypeError, "Node 24");
  } finally {
    Object.assign(globalThis, { Float16Array });
  }
});

Deno.test("where there are no files, as in a browser, opening one says what to do instead", async () => {
  const { process } = globalThis;
  Reflect.deleteProperty(globalThis, "process");
  try {
    for (const open of [openFile, openCheckpoint]) {
      await assertRejects(() => open("model.bin"), CheckpointError, "bytesInMemory");
    }
  } finally {
    Object.assign(globalThis, { process });
  }
});

Deno.test("Safetensors reads what lies beyond 4 GiB, and nothing before it", async () => {
  const large = 5 * 2 ** 30;
  const header = encode({ large: f32([large / 4], 0, large), small: f32([2], large, large + 8) });
  await inFolder({ "large.safetensors": header }, async (folder) => {
    const path = `${folder}/large.safetensors`;
    // The hole in the middle takes no room on the disk.
    const written = await Deno.open(path, { write: true });
    await written.seek(header.length + large, Deno.SeekMode.Start);
    await written.write(new Uint8Array(new Float32Array([1, 2]).buffer));
    written.close();
    const file = await Safetensors.open(await openFile(path));
    assertEquals(await file.read("small"), { shape: [2], data: new Float32Array([1, 2]) });
    await file.close();
  });
});

Deno.test("ShardedSafetensors reads each tensor from its shard", async () => {
  const [a, b, c] = [numbered([2, 3]), numbered([4]), numbered([1])];
  const shards: Record<string, Uint8Array> = {
    "1.safetensors": safetensors({ a, b }),
    "2.safetensors": safetensors({ c }),
  };
  let open = 0;
  const openWith = (weight_map: unknown, files = shards) =>
    ShardedSafetensors.open(
      bytesInMemory("index.json", new TextEncoder().encode(JSON.stringify({ weight_map }))),
      (name) => {
        open++;
        const source = bytesInMemory(name, files[name]);
        return Promise.resolve({ ...source, close: () => Promise.resolve(void open--) });
      },
    );
  const map = { a: "1.safetensors", b: "1.safetensors", c: "2.safetensors" };
  const file = await openWith(map);
  assertEquals(file.names, ["a", "b", "c"]);
  assertEquals(file.describe("c"), { file: "2.safetensors", dtype: "F32", shape: [1], bytes: 4 });
  assertEquals(await file.read("a"), a);
  assertEquals(await file.read("c"), c);
  await assertRejects(() => file.read("d"), CheckpointError, 'tensor "d" of index.json');
  assertEquals(open, 2);
  await file.close();
  assertEquals(open, 0);

  const wrong: [unknown, typeof shards, string][] = [
    [undefined, shards, "weight_map=undefined"],
    [[], shards, "weight_map=[]"],
    [{}, shards, "weight_map={}"],
    [{ a: 1 }, shards, 'tensor "a" of index.json'],
    [{ a: "../1.safetensors" }, shards, "../1.safetensors"],
    [{ a: "/etc/passwd" }, shards, "/etc/passwd"],
    [{ ...map, d: "2.safetensors" }, shards, 'tensor "d" of index.json'],
    [map, { ...shards, "2.safetensors": shards["2.safetensors"].slice(0, -1) }, "2.safetensors"],
  ];
  for (const [weightMap, files, says] of wrong) {
    await assertRejects(() => openWith(weightMap, files), CheckpointError, says);
    assertEquals(open, 0, says);
  }
});

testStories("Safetensors reads the attention of a trained model", async () => {
  const file = await Safetensors.open(await openFile(STORIES.attention));
  assertEquals(file.metadata.model, "stories260K");
  assertEquals(file.names.length, 20);
  for (let layer = 0; layer < 5; layer++) {
    const [q, k, v, o] = await Promise.all(
      ["q", "k", "v", "o"].map((name) => file.read(`layer${layer}.${name}`)),
    );
    assertEquals([q.shape, k.shape], [[129, 8, 8], [129, 4, 8]]);
    assertEquals([v.shape, o.shape], [[129, 4, 8], [129, 8, 8]]);
    assert(q.data.every(Number.isFinite) && k.data.every(Number.isFinite));
    // The first token sees itself alone, so that each query head's output is its group's value.
    for (let head = 0; head < 8; head++) {
      const kvHead = Math.floor(head / 2);
      assertEquals(
        o.data.subarray(head * 8, head * 8 + 8),
        v.data.subarray(kvHead * 8, kvHead * 8 + 8),
        `layer ${layer}, head ${head}`,
      );
    }
  }
  await file.close();
});

testStories("Safetensors refuses the real file cut short anywhere", async () => {
  const whole = await Deno.readFile(STORIES.attention);
  for (const length of [whole.length - 1, whole.length >> 1, 2000, 100, 8]) {
    await assertRejects(() => open(whole.subarray(0, length)), CheckpointError, "Cannot read");
  }
});
