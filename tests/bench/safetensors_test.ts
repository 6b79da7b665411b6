import { assert, assertEquals, assertThrows } from "@std/assert";
import { Safetensors } from "../../bench/safetensors.ts";

/** A file of `header`, as JSON unless it is text already, and `data`. */
function encode(header: unknown, data: Uint8Array = new Uint8Array()): Uint8Array {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

const zeros = (length: number) => new Uint8Array(length);
const f32 = (shape: unknown, begin: unknown, end: unknown) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

Deno.test("Safetensors reads F32, F16 and BF16 from unaligned data, listed in any order", () => {
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
  const file = new Safetensors(buffer.subarray(3, -1));

  assertEquals(file.names, ["pi", "tenth", "half", "flag"]);
  assertEquals(file.metadata, {});
  assertEquals(file.get("half"), {
    dtype: "F16",
    shape: [3, 1],
    data: new Float32Array([1, -2.5, 65504]),
  });
  assertEquals(file.get("tenth"), { dtype: "F32", shape: [], data: new Float32Array([0.1]) });
  assertEquals(file.get("pi"), {
    dtype: "BF16",
    shape: [2],
    data: new Float32Array([1, -3.140625]),
  });
});

Deno.test("Safetensors reads metadata, empty tensors and padded or empty headers", () => {
  const file = new Safetensors(
    encode(
      `{"__metadata__":{"format":"pt"},"b":${JSON.stringify(f32([1], 0, 4))},` +
        `"a":${JSON.stringify(f32([0, 8], 0, 0))}}    `,
      zeros(4),
    ),
  );
  assertEquals(file.metadata, { format: "pt" });
  assertEquals(file.names, ["b", "a"]);
  assertEquals(file.get("a"), { dtype: "F32", shape: [0, 8], data: new Float32Array() });
  assertEquals(file.get("b").data, new Float32Array(1));
  assertEquals(new Safetensors(encode({})).names, []);
});

Deno.test("Safetensors.get() copies", () => {
  const bytes = encode({ a: f32([1], 0, 4) }, zeros(4));
  const file = new Safetensors(bytes);
  const { data, shape } = file.get("a");
  data[0] = 5;
  shape[0] = 5;
  assertEquals(file.get("a"), { dtype: "F32", shape: [1], data: new Float32Array(1) });
});

Deno.test("Safetensors.get() refuses what is not there and what is not a float", () => {
  const i64 = { dtype: "I64", shape: [1], data_offsets: [0, 8] };
  const f4 = { dtype: "F4", shape: [2], data_offsets: [8, 9] };
  const file = new Safetensors(encode({ ids: i64, tiny: f4 }, zeros(9)));
  assertThrows(() => file.get("idx"), RangeError, '"idx"');
  assertThrows(() => file.get("idx"), RangeError, "ids, tiny");
  assertThrows(() => file.get("ids"), TypeError, "current value is I64");
  assertThrows(() => file.get("tiny"), TypeError, "current value is F4");
});

const invalidUtf8 = encode({ __metadata__: { a: "?" } });
invalidUtf8[invalidUtf8.indexOf("?".charCodeAt(0))] = 0xff;
const hugeHeader = encode({});
hugeHeader[7] = 0xff;

const damaged: {
  name: string;
  bytes: Uint8Array;
  error: typeof TypeError | typeof RangeError;
  message: string;
}[] = [
  {
    name: "an empty file",
    bytes: zeros(0),
    error: RangeError,
    message: "current size is 0 bytes",
  },
  {
    name: "a file shorter than the header length",
    bytes: encode({}).subarray(0, 7),
    error: RangeError,
    message: "current size is 7 bytes",
  },
  {
    name: "a header longer than the file",
    bytes: encode({ a: f32([0], 0, 0) }).subarray(0, -1),
    error: RangeError,
    message: "header=54 bytes, rest of file=53 bytes",
  },
  {
    name: "a header length beyond 2^53",
    bytes: hugeHeader,
    error: RangeError,
    message: "header=18374686479671623682 bytes",
  },
  {
    name: "a header that is not UTF-8",
    bytes: invalidUtf8,
    error: TypeError,
    message: "must be JSON in UTF-8",
  },
  {
    name: "a header that starts with a byte order mark",
    bytes: encode("\ufeff{}"),
    error: TypeError,
    message: "must be JSON in UTF-8",
  },
  {
    name: "a header of no bytes",
    bytes: zeros(8),
    error: TypeError,
    message: "must be JSON in UTF-8",
  },
  {
    name: "a header that is not JSON",
    bytes: encode("{'a': 1}"),
    error: TypeError,
    message: "must be JSON in UTF-8",
  },
  {
    name: "a header that is an array",
    bytes: encode([1, 2]),
    error: TypeError,
    message: "must be a JSON object: current value is [1,2]",
  },
  {
    name: "a header that is null",
    bytes: encode(null),
    error: TypeError,
    message: "must be a JSON object: current value is null",
  },
  {
    name: "metadata that is text",
    bytes: encode({ __metadata__: "pt" }),
    error: TypeError,
    message: 'current value is "pt"',
  },
  {
    name: "metadata that is null",
    bytes: encode({ __metadata__: null }),
    error: TypeError,
    message: "current value is null",
  },
  {
    name: "metadata that holds a number",
    bytes: encode({ __metadata__: { format: "pt", version: 1 } }),
    error: TypeError,
    message: 'current value is {"format":"pt","version":1}',
  },
  {
    name: "an entry that is not an object",
    bytes: encode({ a: 1 }),
    error: TypeError,
    message: '"a" as its entry must be a JSON object: current value is 1',
  },
  {
    name: "a missing dtype",
    bytes: encode({ a: { shape: [], data_offsets: [0, 4] } }, zeros(4)),
    error: TypeError,
    message: '"a" as its dtype must be a string: current value is missing',
  },
  {
    name: "a shape that is not an array",
    bytes: encode({ a: f32(1, 0, 4) }, zeros(4)),
    error: TypeError,
    message: '"a" as its shape must be an array of non-negative integers: current value is 1',
  },
  {
    name: "a negative length",
    bytes: encode({ a: f32([-1, -1], 0, 4) }, zeros(4)),
    error: TypeError,
    message: "current value is [-1,-1]",
  },
  {
    name: "a fractional length",
    bytes: encode({ a: f32([0.5, 2], 0, 4) }, zeros(4)),
    error: TypeError,
    message: "current value is [0.5,2]",
  },
  {
    name: "a length that is text",
    bytes: encode({ a: f32(["1"], 0, 4) }, zeros(4)),
    error: TypeError,
    message: 'current value is ["1"]',
  },
  {
    name: "one offset",
    bytes: encode({ a: { dtype: "F32", shape: [1], data_offsets: [0] } }, zeros(4)),
    error: TypeError,
    message: '"a" as its data_offsets must be two non-negative integers: current value is [0]',
  },
  {
    name: "a fractional offset",
    bytes: encode({ a: f32([1], 0.5, 4.5) }, zeros(4)),
    error: TypeError,
    message: "current value is [0.5,4.5]",
  },
  {
    name: "a negative offset",
    bytes: encode({ a: f32([1], -4, 0) }, zeros(4)),
    error: TypeError,
    message: "current value is [-4,0]",
  },
  {
    name: "an offset beyond 2^53",
    bytes: encode({ a: f32([1], 2 ** 53, 2 ** 53 + 4) }, zeros(4)),
    error: TypeError,
    message: "current value is [9007199254740992,9007199254740996]",
  },
  {
    name: "offsets out of order",
    bytes: encode({ a: f32([1], 4, 0) }, zeros(4)),
    error: RangeError,
    message: "begin=4, end=0",
  },
  {
    name: "data shorter than the shape",
    bytes: encode({ a: f32([2, 3], 0, 20) }, zeros(20)),
    error: RangeError,
    message: "shape=[2,3], dtype=F32 (24 bytes), data_offsets=[0,20] (20 bytes)",
  },
  {
    name: "data longer than the shape, in a type that is not read",
    bytes: encode({ a: { dtype: "I8", shape: [3], data_offsets: [0, 4] } }, zeros(4)),
    error: RangeError,
    message: "dtype=I8 (3 bytes), data_offsets=[0,4] (4 bytes)",
  },
  {
    name: "data beyond the file",
    bytes: encode({ a: f32([1], 0, 4), b: f32([2], 4, 12) }, zeros(11)),
    error: RangeError,
    message: '"b" as its data must end within the file: current values end=12, data=11 bytes',
  },
  {
    name: "overlapping tensors",
    bytes: encode({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, zeros(12)),
    error: RangeError,
    message: '"b" as its data must not overlap tensor "a": current values begin=4',
  },
  {
    name: "two tensors on the same bytes",
    bytes: encode({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, zeros(4)),
    error: RangeError,
    message: '"b" as its data must not overlap tensor "a"',
  },
  {
    name: "a hole before the first tensor",
    bytes: encode({ a: f32([1], 4, 8) }, zeros(8)),
    error: RangeError,
    message: '"a" as its data must follow the header without a hole: current values begin=4',
  },
  {
    name: "a hole between tensors",
    bytes: encode({ b: f32([1], 6, 10), a: f32([1], 0, 4) }, zeros(10)),
    error: RangeError,
    message: '"b" as its data must follow tensor "a" without a hole: current values begin=6',
  },
  {
    name: "bytes after the last tensor",
    bytes: encode({ a: f32([1], 0, 4) }, zeros(7)),
    error: RangeError,
    message: 'nothing may follow tensor "a": current values end=4, data=7 bytes; remove the last 3',
  },
  {
    name: "data without tensors",
    bytes: encode({}, zeros(1)),
    error: RangeError,
    message: "nothing may follow the header",
  },
  {
    name: "a name used twice",
    bytes: encode(
      `{"a":${JSON.stringify(f32([1], 0, 4))},"a":${JSON.stringify(f32([1], 4, 8))}}`,
      zeros(8),
    ),
    error: RangeError,
    message: "use no name twice",
  },
];

for (const { name, bytes, error, message } of damaged) {
  Deno.test(`Safetensors refuses ${name}`, () => {
    assertThrows(() => new Safetensors(bytes), error, message);
  });
}

const realFile = new URL(
  "../../../shared/data/stories260K/attention.safetensors",
  import.meta.url,
);

/** Why the real file cannot be read; undefined when it can. */
function whyNoRealFile(): string | undefined {
  if (Deno.permissions.querySync({ name: "read", path: realFile }).state !== "granted") {
    return "reading it is not permitted, run with --allow-read";
  }
  try {
    Deno.statSync(realFile);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "it is not on this machine";
    throw error;
  }
}

const reason = whyNoRealFile();
if (reason !== undefined) console.log(`Skipping the tests on stories260K's attention: ${reason}`);

Deno.test("Safetensors reads the attention of a trained model", {
  ignore: reason !== undefined,
}, () => {
  const file = new Safetensors(Deno.readFileSync(realFile));
  assertEquals(file.metadata.model, "stories260K");
  assertEquals(file.names.length, 20);
  for (let layer = 0; layer < 5; layer++) {
    const [q, k, v, o] = ["q", "k", "v", "o"].map((name) => file.get(`layer${layer}.${name}`));
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
});

Deno.test("Safetensors refuses the real file cut short anywhere", {
  ignore: reason !== undefined,
}, () => {
  const bytes = Deno.readFileSync(realFile);
  for (const length of [bytes.length - 1, bytes.length >> 1, 2000, 100, 8]) {
    assertThrows(() => new Safetensors(bytes.subarray(0, length)), Error, "Cannot read");
  }
});
