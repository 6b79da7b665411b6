// Tunings: what planning takes from one, and what it refuses.
import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  type AttentionSpec,
  type DeviceProfile,
  explain,
  planAttention,
  type Tiling,
  type Tuning,
} from "../../mod.ts";
import { copyTuning } from "../../src/plan/tuning.ts";
import { tilingOf } from "../../src/plan/tiling.ts";
import { fusedPlan, LIMITS, PROFILES } from "../support/plan.ts";

const TILING: Tiling = {
  ...{ maxRows: 2, maxRowGroups: 2, keys: 2, maxPairs: 4, lanes: 32, workgroup: 32 },
  ...{ sharers: 0, partners: 1, keyChunk: 0, columns: 1, fillingWorkgroups: 4 },
};
const TUNING: Tuning = {
  schema: 3,
  adapter: "any",
  tilings: [{ leastRows: 4, ...TILING }, { leastRows: 32, ...TILING, keys: 1 }],
};

const keysOf = (spec: Partial<AttentionSpec>) =>
  fusedPlan({ numHeads: 1, headDim: 64, capacity: 4096, ...spec }).keys;

Deno.test("tuning: rows of a KV head decide which tiling serves", () => {
  const usual = keysOf({});
  assertNotEquals([usual], [2]);
  const keys = [1, 3, 4, 31, 32, 500].map((seqLen) => keysOf({ seqLen, tuning: TUNING }));
  assertEquals(keys, [usual, usual, 2, 2, 1, 1]);
  assertEquals(keysOf({ numHeads: 8, numKvHeads: 2, tuning: TUNING }), 2);
  assertEquals(keysOf({ tuning: { ...TUNING, tilings: [] } }), usual);
});

Deno.test("tuning: every size arrives in the plan", () => {
  const spec: AttentionSpec = { numHeads: 4, numKvHeads: 1, headDim: 64, capacity: 4096 };
  const { rows, rowGroups, lanes, slices } = fusedPlan({ ...spec, tuning: TUNING });
  assertEquals([rows, rowGroups, lanes, slices], [2, 2, 32, 4]);
});

Deno.test("tuning: rows that load a bias or a mask are as many as the pairs allow", () => {
  const spec: AttentionSpec = { numHeads: 8, numKvHeads: 1, headDim: 64, capacity: 512 };
  const tuning: Tuning = { ...TUNING, tilings: [{ leastRows: 1, ...TILING, maxPairs: 2 }] };
  const rows = (given: Partial<AttentionSpec>, profile?: DeviceProfile) =>
    fusedPlan({ ...spec, ...given }, LIMITS, profile).rows;
  assertEquals([rows({ tuning }), rows({ tuning, bias: [1, 512] })], [2, 1]);
  for (const profile of Object.values(PROFILES)) {
    const { maxPairs, keys } = tilingOf(profile, 8 * 16);
    for (const masked of [{ bias: [1, 512] }, { mask: [1, 512] }]) {
      assertEquals(rows({ ...masked, seqLen: 16 }, profile), maxPairs / keys);
    }
  }
});

Deno.test("tuning: comes through a file as it is", () => {
  const copy: Tuning = JSON.parse(JSON.stringify(TUNING));
  const spec: AttentionSpec = { numHeads: 4, numKvHeads: 1, headDim: 64, capacity: 4096 };
  const plan = (tuning: Tuning) => explain(planAttention({ ...spec, tuning }, LIMITS));
  assertEquals(plan(copy), plan(TUNING));
});

const tilings = (changes: Record<string, unknown>) => ({
  tilings: [{ ...TUNING.tilings[0], ...changes }],
});
const WRONG: readonly [
  given: Record<string, unknown>,
  throws: typeof TypeError | typeof RangeError,
  says: string,
][] = [
  [{ schema: 1 }, TypeError, "tuning.schema=1"],
  [{ schema: undefined }, TypeError, "tuning.schema=undefined"],
  [{ adapter: 5 }, TypeError, "tuning.adapter=5"],
  [{ tilings: {} }, TypeError, "tuning.tilings="],
  [{ tilings: [null] }, TypeError, "tuning.tilings[0].leastRows=undefined"],
  [tilings({ leastRows: 0 }), RangeError, "tuning.tilings[0].leastRows=0"],
  [{ tilings: TUNING.tilings.toReversed() }, RangeError, "tuning.tilings[1].leastRows=4"],
  [tilings({ keys: undefined }), TypeError, "tuning.tilings[0].keys=undefined"],
  [tilings({ keys: "4" }), TypeError, 'tuning.tilings[0].keys="4"'],
  [tilings({ keys: 0 }), RangeError, "tuning.tilings[0].keys=0"],
  [tilings({ maxRows: 1.5 }), RangeError, "tuning.tilings[0].maxRows=1.5"],
  [tilings({ maxRows: 1000 }), RangeError, "maxRows must be at most 32"],
  [tilings({ lanes: 24 }), RangeError, "lanes must be a power of two"],
  [tilings({ sharers: -1 }), RangeError, "tuning.tilings[0].sharers=-1"],
  [tilings({ sharers: 3 }), RangeError, "sharers must be a power of two"],
  [tilings({ sharers: 4 }), RangeError, "sharers=4, maxRowGroups=2, partners=1"],
  [
    tilings({ sharers: 4, maxRowGroups: 1, partners: 2 }),
    RangeError,
    "sharers=4, maxRowGroups=1, partners=2",
  ],
  [tilings({ partners: 0 }), RangeError, "tuning.tilings[0].partners=0"],
  [tilings({ columns: 3 }), RangeError, "columns must be a power of two"],
  [tilings({ fillingWorkgroups: Infinity }), RangeError, "fillingWorkgroups=Infinity"],
];

for (const [given, throws, says] of WRONG) {
  Deno.test(`tuning: refuses what says ${says}`, () => {
    const tuning = { ...TUNING, ...given } as unknown as Tuning;
    const spec: AttentionSpec = { numHeads: 1, headDim: 8, capacity: 8, tuning };
    assertThrows(() => planAttention(spec, LIMITS), throws, says);
  });
}

Deno.test("tuning: takes the ends of every range, and nothing beyond them", () => {
  const ranges: Record<keyof Tiling, [least: number, most: number]> = {
    ...{ maxRows: [1, 32], maxRowGroups: [1, 16], keys: [1, 16], maxPairs: [1, 512] },
    ...{ lanes: [2, 256], workgroup: [2, 1024], sharers: [0, 128], partners: [1, 32] },
    ...{ keyChunk: [0, 16], columns: [1, 16], fillingWorkgroups: [1, 65535] },
  };
  for (const [name, [least, most]] of Object.entries(ranges)) {
    // Sharers stand alone.
    const beside = name === "sharers" ? { maxRowGroups: 1 } : {};
    const take = (size: number) =>
      copyTuning("test", { ...TUNING, ...tilings({ ...beside, [name]: size }) } as Tuning);
    for (const size of [least, most]) assertEquals(take(size).tilings[0][name as "keys"], size);
    for (const size of [least - 1, most + 1]) assertThrows(() => take(size), RangeError, name);
  }
});

Deno.test("tuning: refuses what is none", () => {
  for (const tuning of [5, "tuning.json", []] as unknown as Tuning[]) {
    const spec: AttentionSpec = { numHeads: 1, headDim: 8, capacity: 8, tuning };
    assertThrows(() => planAttention(spec, LIMITS), TypeError, "tuning must be of schema 3");
  }
});

Deno.test("tuning: of a device with subgroups is refused on one without, by name", () => {
  const tiling = { leastRows: 1, ...TILING, sharers: 8, maxRowGroups: 1 };
  const tuning: Tuning = { schema: 3, adapter: "another GPU", tilings: [tiling] };
  const spec: AttentionSpec = { numHeads: 1, headDim: 8, capacity: 8, tuning };
  const plan = (subgroupSize: number) =>
    planAttention(spec, LIMITS, { ...PROFILES.software, subgroupSize });
  const says = 'tuning.adapter="another GPU", sharers=8, subgroupSize=4';
  assertThrows(() => plan(4), RangeError, says);
  assertEquals(plan(8).impl, "fused");
});
