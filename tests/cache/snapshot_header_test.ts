// Snapshots that someone else wrote, under a right checksum: a state that a cache can have is restored, anything else refused.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RingKvCache, type RingKvCacheOptions, SnapshotError } from "../../mod.ts";
import { assertAtOnce } from "../support/at_once.ts";
import { buffersOf } from "../support/buffers.ts";
import { sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { submit, Tensors } from "../support/run.ts";
import { partsOf, snapshotOf, type SnapshotParts } from "../support/snapshots.ts";
import { downloadKv, downloadU32 } from "../support/transcript.ts";

const OPTIONS: RingKvCacheOptions = {
  ...{ batch: 2, numKvHeads: 1, headDim: 2, capacity: 5, window: 2, sinks: 1, rope: {} },
};

/** A cache whose first sequence has wrapped, its snapshot, and the same with other parts. */
async function saved(random: Random, tensors: Tensors) {
  const gpu = await sharedGpu();
  const cache = tensors.keep(await RingKvCache.create(gpu, OPTIONS));
  const k = await tensors.upload(random.tensor([2, 2, 1, 2]));
  await submit((encoder) => {
    for (let i = 0; i < 3; i++) cache.append(encoder, { k, v: k, lengths: [2, 1] });
  });
  const snapshot = await cache.snapshot();
  const parts = partsOf(snapshot);
  const changed = (change: (parts: SnapshotParts) => void, headerBytes?: number) => {
    const copy = structuredClone(parts);
    change(copy);
    return snapshotOf(copy, snapshot, headerBytes);
  };
  const state = async () => ({
    lengths: [cache.length(0), cache.length(1)],
    oldest: [cache.oldest(0), cache.oldest(1)],
    lengthsOnDevice: [...await downloadU32(cache.lengthsBuffer)],
    k: [...await downloadKv(cache, "k")],
    v: [...await downloadKv(cache, "v")],
  });
  return { gpu, cache, snapshot, parts, changed, state };
}

/** What a header may not say; each is refused, and the message says as much. */
const WRONG: Readonly<Record<string, [(parts: SnapshotParts) => void, string]>> = {
  "no sequences": [({ header }) => header.kept = [], "kept must have an entry for each sequence"],
  "too few sequences": [({ header }) => header.kept.pop(), "kept must have an entry"],
  "too many sequences": [
    ({ header }) => header.kept.push(header.kept[0]),
    "kept must have an entry",
  ],
  "sequences that are no list": [({ header }) => header.kept = { length: 2 }, "kept must have"],
  "a sequence that is null": [({ header }) => header.kept[1] = null, "kept[1] must be an object"],
  "a length that is missing": [({ header }) => delete header.kept[0].length, "field length"],
  "a length that is a string": [
    ({ header }) => header.kept[0].length = "6",
    "length must be a number",
  ],
  "a length that is negative": [({ header }) => header.kept[0].length = -1, "length=-1"],
  "a length that is a fraction": [({ header }) => header.kept[0].length = 5.5, "length=5.5"],
  "a length beyond 31 bits": [({ header }) => header.kept[0].length = 2 ** 52, "hold the length"],
  "a length of other rows": [({ header }) => header.kept[1].length = 4, "the rows of its tokens"],
  "an oldest token that was overwritten": [({ header }) => header.kept[0].oldest = 0, "oldest=0"],
  "an oldest token that is a sink": [({ header }) => header.kept[0].oldest = 1, "oldest=1"],
  "an oldest token past the window": [({ header }) => header.kept[0].oldest = 6, "oldest=6"],
  "an oldest token that is a string": [({ header }) => header.kept[0].oldest = "2", 'oldest="2"'],
  "an oldest token of a ring that has not wrapped": [
    ({ header }) => header.kept[1].oldest = 3,
    "oldest=3",
  ],
  "a field of a sequence that is unknown": [({ header }) => header.kept[0].a = 1, "known fields"],
  "no options": [({ header }) => delete header.options, "field options"],
  "options that are null": [({ header }) => header.options = null, "options must be an object"],
  "options that are a list": [({ header }) => header.options = [], "options must be an object"],
  "an option that is unknown": [({ header }) => header.options.hidden = 1, 'field="hidden"'],
  "a field of the header that is unknown": [({ header }) => header.rows = 1, 'field="rows"'],
  "an option that is missing": [({ header }) => delete header.options.sinks, "field sinks"],
  "a batch of 0": [({ header }) => header.options.batch = 0, "batch=0"],
  "a batch of other sequences": [
    ({ header }) => header.options.batch = 2 ** 52,
    `batch=${2 ** 52}`,
  ],
  "heads that are a string": [({ header }) => header.options.numKvHeads = "1", "numKvHeads"],
  "a head size of other rows": [
    ({ header }) => header.options.headDim = 4,
    "the rows of its tokens",
  ],
  "a value size of other rows": [({ header }) => header.options.valueDim = 1, "rows of its tokens"],
  "a type of other rows": [({ header }) => header.options.kvDtype = "f16", "rows of its tokens"],
  "a type of no cache": [({ header }) => header.options.kvDtype = "u32", 'kvDtype="u32"'],
  "a type of no tensor": [({ header }) => header.options.dtype = "int8", 'dtype="int8"'],
  "a layout that is none": [({ header }) => header.options.layout = "SBNH", 'layout="SBNH"'],
  "an overflow that is none": [({ header }) => header.options.overflow = "loop", "overflow"],
  "an overflow that keeps all": [
    ({ header }) => header.options.overflow = "error",
    "hold the length",
  ],
  "a window beyond the capacity": [({ header }) => header.options.window = 9, "capacity must be"],
  "sinks beyond the capacity": [({ header }) => header.options.sinks = 9, "sinks"],
  "a rope that is false": [({ header }) => header.options.rope = false, "rope must be an object"],
  "a rope that is null": [({ header }) => header.options.rope = null, "rope must be an object"],
  "a rope of odd size": [({ header }) => header.options.rope.dims = 1, "dims"],
  "a rope of a style that is none": [({ header }) => header.options.rope.style = "x", "style"],
  "a rope that begins before its head": [
    ({ header }) => header.options.rope.firstDim = -2,
    "rope.firstDim",
  ],
  "values that are something else": [({ header }) => header.options.valuesAre = "v", "valuesAre"],
  "values that are keys, beside values": [
    ({ header }) => header.options.valuesAre = "keys",
    "the rows of its tokens",
  ],
  "a rope of too few frequencies": [
    ({ header }) => header.options.rope.frequencies = [],
    "dims / 2",
  ],
  "a rope of no frequencies": [
    ({ header }) => delete header.options.rope.frequencies,
    "frequencies",
  ],
  "a frequency that is a string": [
    ({ header }) => header.options.rope.frequencies = ["1"],
    "frequencies[0] must be a number",
  ],
  "a header that is a list": [(parts) => parts.header = [], "JSON object"],
  "a header that is no JSON": [(parts) => parts.header = "{", "no JSON"],
  "a header that is empty": [(parts) => parts.header = "", "no JSON"],
  "a header that is deep": [(parts) => parts.header = "[".repeat(1e6), "nested"],
  "a row too few": [(parts) => parts.rows = parts.rows.slice(8), "the rows of its tokens"],
  "a row too many": [(parts) => parts.rows = new Uint8Array(parts.rows.length + 8), "the rows"],
};

for (const [name, [change, says]] of Object.entries(WRONG)) {
  testRandomly(`snapshot: with ${name} is refused, and nothing has changed`, async (random) => {
    using tensors = new Tensors();
    const { gpu, cache, changed, state } = await saved(random, tensors);
    const before = await state();
    const wrong = await changed(change);
    const start = performance.now();
    const { made } = await buffersOf(async () => {
      await assertRejects(() => RingKvCache.restore(gpu, wrong), SnapshotError, says);
      await assertRejects(() => cache.restore(wrong), SnapshotError, says);
    });
    assertEquals(made, []);
    assertAtOnce(start);
    assertEquals(await state(), before);
  });
}

testRandomly("snapshot: a header that ends behind the bytes is refused", async (random) => {
  using tensors = new Tensors();
  const { gpu, changed, snapshot } = await saved(random, tensors);
  for (const headerBytes of [snapshot.length, 2 ** 31, 2 ** 32 - 1]) {
    const wrong = await changed(() => {}, headerBytes);
    const says = "the header must lie within the snapshot";
    await assertRejects(() => RingKvCache.restore(gpu, wrong), SnapshotError, says);
  }
});

testRandomly("snapshot: one of another version is refused", async (random) => {
  using tensors = new Tensors();
  const { gpu, snapshot, parts } = await saved(random, tensors);
  for (const version of [0, 1, 3, 2 ** 32 - 1]) {
    const prefix = snapshot.slice();
    new DataView(prefix.buffer).setUint32(8, version, true);
    const other = await snapshotOf(parts, prefix);
    const says = `must be of version 2: current value version=${version}`;
    await assertRejects(() => RingKvCache.restore(gpu, other), SnapshotError, says);
  }
});

testRandomly("snapshot: an empty one asks for no more than maxBytes", async (random) => {
  using tensors = new Tensors();
  const { gpu, changed } = await saved(random, tensors);
  const empty = (sizes: Record<string, unknown>) =>
    changed((parts) => {
      Object.assign(parts.header.options, { rope: undefined, ...sizes });
      parts.header.kept = parts.header.kept.map(() => ({ oldest: 0, length: 0 }));
      parts.rows = new Uint8Array();
    });
  const large = await empty({ capacity: 2 ** 14, window: 9 });
  const bytes = 2 * 2 * 2 ** 14 * 2 * 4;
  assert(large.length < 500);
  const { made } = await buffersOf(async () => {
    const start = performance.now();
    const refused = () => RingKvCache.restore(gpu, large, { maxBytes: bytes - 1 });
    await assertRejects(refused, RangeError, `bytes=${bytes}, maxBytes=${bytes - 1}`);
    const sizes = [
      { capacity: 2 ** 40, window: 9 },
      { numKvHeads: 2 ** 40, capacity: 1024, window: 9 },
      { headDim: 2 ** 40 },
      { numKvHeads: 2 ** 52, headDim: 2 ** 52, valueDim: 2 ** 52, capacity: 2 ** 52, window: 9 },
    ];
    for (const each of sizes) {
      const huge = await empty(each);
      await assertRejects(() => RingKvCache.restore(gpu, huge), RangeError, "at most maxBytes");
      const raised = { maxBytes: Number.MAX_SAFE_INTEGER };
      await assertRejects(() => RingKvCache.restore(gpu, huge, raised), RangeError, "Cannot");
    }
    assertAtOnce(start);
  });
  assertEquals(made, []);
  const cache = tensors.keep(await RingKvCache.restore(gpu, large, { maxBytes: bytes }));
  assertEquals([cache.length(), cache.spec.capacity], [0, 2 ** 14]);
  for (const maxBytes of [0, -1, 0.5, NaN]) {
    await assertRejects(
      () => RingKvCache.restore(gpu, large, { maxBytes }),
      RangeError,
      "maxBytes=",
    );
  }
  const text = { maxBytes: "1" as unknown as number };
  await assertRejects(() => RingKvCache.restore(gpu, large, text), TypeError, 'maxBytes="1"');
  const none = null as unknown as undefined;
  await assertRejects(() => RingKvCache.restore(gpu, large, none), TypeError, "options=null");
});

testRandomly("snapshot: one whose every field is right is restored", async (random) => {
  using tensors = new Tensors();
  const { gpu, changed, cache } = await saved(random, tensors);
  const restored = tensors.keep(await RingKvCache.restore(gpu, await changed(() => {})));
  assertEquals(await restored.snapshot(), await cache.snapshot());
});
