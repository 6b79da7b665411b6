// Planning, without a GPU.
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  type AttentionSpec,
  type DeviceProfile,
  kvBytes,
  planAttention,
  type PlanLimits,
  type StagedPlan,
  type Tuning,
} from "../../mod.ts";
import { loadPacks, packSize } from "../../src/tensor/loads.ts";
import { valueBlocks } from "../../src/plan/staged_tile.ts";
import { laneWorkgroupBytes } from "../../src/plan/lane_tile.ts";
import { assertAtOnce } from "../support/at_once.ts";
import { fusedPlan, LIMITS, PROFILES, stagedPlan } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";

const SPEC: AttentionSpec = { numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 5 };

Deno.test("plan: what a specification leaves out is filled in", () => {
  const { spec } = planAttention({ numHeads: 4, headDim: 64, capacity: 7 }, LIMITS);
  assertEquals(spec, {
    batch: 1,
    numHeads: 4,
    numKvHeads: 4,
    headDim: 64,
    valueDim: 64,
    seqLen: 1,
    numRows: 4,
    queries: { arrangement: "padded", seqLen: 1 },
    capacity: 7,
    causal: true,
    alignment: "bottom-right",
    window: undefined,
    sinks: 0,
    windowRight: undefined,
    scale: 1 / 8,
    softcap: undefined,
    alibiSlopes: undefined,
    sinkLogits: undefined,
    bias: undefined,
    mask: undefined,
    maskKeys: "first",
    scoreMod: undefined,
    maskMod: undefined,
    blockMask: false,
    dtype: "f32",
    kvDtype: "f32",
    arithmetic: "f32",
    layout: "BSNH",
    kvLayout: "BSNH",
    outputs: [],
    pages: undefined,
    maxScratchBytes: 128 * 2 ** 20,
    impl: "auto",
    tuning: undefined,
  });
  const swapped = planAttention({ ...SPEC, layout: "BNSH" }, LIMITS);
  assertEquals(swapped.spec.kvLayout, "BNSH");
});

const CONTEXTS: readonly (Partial<AttentionSpec> & { contextLen: number })[] = [
  { capacity: 100, contextLen: 100 },
  { capacity: 100, window: 1, seqLen: 1, contextLen: 1 },
  { capacity: 100, window: 10, seqLen: 1, contextLen: 10 },
  { capacity: 100, window: 10, seqLen: 5, contextLen: 14 },
  { capacity: 100, window: 96, seqLen: 5, contextLen: 100 },
  { capacity: 100, window: 97, seqLen: 5, contextLen: 100 },
  { capacity: 3, window: 10, seqLen: 50, contextLen: 3 },
  { capacity: 100, window: 10, sinks: 4, seqLen: 5, contextLen: 18 },
  { capacity: 15, window: 10, sinks: 4, seqLen: 5, contextLen: 15 },
  { capacity: 100, window: 10, seqLen: 1, windowRight: 3, causal: false, contextLen: 10 },
  { capacity: 100, window: 10, seqLen: 1, alignment: "top-left", contextLen: 100 },
  { capacity: 100, window: 10, seqLen: 1, alignment: 50, contextLen: 100 },
];

Deno.test("plan: contextLen is what any query looks over", () => {
  for (const { contextLen, ...given } of CONTEXTS) {
    assertEquals(stagedPlan({ ...SPEC, ...given }, LIMITS).contextLen, contextLen);
  }
});

Deno.test("kvBytes() counts keys and values, the steps of integers, and whole words", () => {
  const shape = { batch: 1, headDim: 128, valueDim: 128, kvDtype: "f16" } as const;
  assertEquals(kvBytes({ ...shape, numKvHeads: 32 }, 1), 16384);
  assertEquals(kvBytes({ ...shape, numKvHeads: 1 }, 1), 512);
  assertEquals(kvBytes({ ...shape, numKvHeads: 8 }, 1), 4096);
  assertEquals(kvBytes({ ...shape, numKvHeads: 1, kvDtype: "f32" }, 4096), 4096 * 1024);
  assertEquals(kvBytes({ ...shape, batch: 3, numKvHeads: 2, valueDim: 64 }, 10), 60 * 192 * 2);
  // Each tensor ends on a multiple of four bytes: 15 and 21 halves.
  assertEquals(kvBytes({ ...shape, numKvHeads: 1, headDim: 5, valueDim: 7 }, 3), 32 + 44);
  // Each row of integers has a step and whole words.
  const odd = { ...shape, numKvHeads: 1, headDim: 5, valueDim: 9 };
  assertEquals(kvBytes({ ...odd, kvDtype: "int8" }, 3), 3 * (12 + 16));
  assertEquals(kvBytes({ ...odd, kvDtype: "int4" }, 3), 3 * (8 + 12));
});

Deno.test("plan: returned weights need no scratch, returned scores need the weights'", () => {
  const bytes = (outputs: AttentionSpec["outputs"]) =>
    stagedPlan({ ...SPEC, batch: 2, outputs }, LIMITS).scratchBytes;
  const all = 2 * 4 * 3 * 5 * 4;
  assertEquals(bytes([]), all);
  assertEquals(bytes(["scores"]), all);
  assertEquals(bytes(["weights"]), 0);
  assertEquals(bytes(["scores", "weights"]), 0);
});

Deno.test("plan: everything that fits is one block", () => {
  for (const numHeads of [2, 4, 6, 10]) {
    for (const seqLen of [1, 2, 3, 5, 7]) {
      for (const outputs of [[], ["weights"]] as const) {
        const { blocks } = stagedPlan({ ...SPEC, numHeads, seqLen, outputs }, LIMITS);
        assertEquals(blocks.length, 1, `${numHeads} heads, ${seqLen} tokens, outputs ${outputs}`);
      }
    }
  }
});

function randomSpec(random: Random): AttentionSpec {
  const size = () => Math.ceil(2 ** (random.next() * random.integer(0, 8)));
  const numKvHeads = random.integer(1, 8);
  const contextLen = size() * size();
  return {
    batch: random.integer(1, 4),
    numKvHeads,
    numHeads: numKvHeads * random.integer(1, 12),
    headDim: size(),
    valueDim: size(),
    seqLen: size(),
    capacity: contextLen,
    causal: random.next() < 0.5,
    window: random.next() < 0.5 ? undefined : size(),
    dtype: random.pick(["f32", "f16"]),
    layout: random.pick(["BSNH", "BNSH"]),
    outputs: random.pick([[], [], ["scores"], ["weights"], ["scores", "weights"]]),
    maxScratchBytes: contextLen * 4 * random.integer(4, 200),
  };
}

/** Limits that are small enough to matter, as powers of two and not. */
function randomLimits(random: Random): PlanLimits {
  return {
    maxStorageBufferBindingSize: 128 * 2 ** 20,
    maxComputeInvocationsPerWorkgroup: random.pick([128, 256, 1000, 1024]),
    maxComputeWorkgroupStorageSize: random.pick([4096, 16352, 16384, 32768, 49152]),
    maxComputeWorkgroupsPerDimension: random.pick([300, 65535]),
  };
}

/** The rows of a tile, by the definition: at most `rowTile` in a row of one KV head of one sequence. */
function rowsOfTile({ spec, groupSize, rowTile }: StagedPlan, tile: number): number[] {
  const perKvHead = groupSize * spec.seqLen;
  const tilesPerKvHead = Math.ceil(perKvHead / rowTile);
  const first = tile % tilesPerKvHead * rowTile;
  const count = Math.min(rowTile, perKvHead - first);
  const base = Math.floor(tile / tilesPerKvHead) * perKvHead;
  return Array.from({ length: count }, (_, i) => base + first + i);
}

/** Plans that fit random limits. */
function* randomPlans(random: Random, count: number) {
  for (let made = 0; made < count;) {
    const [spec, limits] = [randomSpec(random), randomLimits(random)];
    const plan = planned(() => stagedPlan(spec, limits));
    if (!plan) continue;
    made++;
    yield { plan, limits };
  }
}

/** A plan, or nothing where what was drawn does not fit the limits. */
function planned<Plan>(plan: () => Plan): Plan | undefined {
  try {
    return plan();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

testRandomly("plan: blocks cover every row once, in order", (random) => {
  for (const { plan } of randomPlans(random, 300)) {
    const { batch, numHeads, seqLen } = plan.spec;
    const rows: number[] = [];
    let tile = 0;
    for (const { firstTile, numTiles, firstRow, numRows } of plan.blocks) {
      assertEquals(firstTile, tile);
      const before = rows.length;
      for (; tile < firstTile + numTiles; tile++) rows.push(...rowsOfTile(plan, tile));
      assertEquals(firstRow, rows[before]);
      assertEquals(numRows, rows.length - before);
    }
    assertEquals(rows, Array.from({ length: batch * numHeads * seqLen }, (_, row) => row));
  }
});

testRandomly("plan: no block exceeds its scratch", (random) => {
  for (const { plan } of randomPlans(random, 300)) {
    const { spec, contextLen, blocks, scratchBytes } = plan;
    const rowBytes = contextLen * 4;
    const most = Math.max(...blocks.map(({ numRows }) => numRows)) * rowBytes;
    const all = spec.batch * spec.numHeads * spec.seqLen * rowBytes;
    if (spec.outputs.length === 0) {
      assertEquals(scratchBytes, most);
      assert(scratchBytes <= spec.maxScratchBytes);
    } else {
      assertEquals(scratchBytes, spec.outputs.includes("weights") ? 0 : all);
    }
  }
});

testRandomly("plan: every dispatch and workgroup is within the limits", (random) => {
  for (const { plan, limits } of randomPlans(random, 300)) {
    const { workgroup, blocks, rowTile, columnGroups, valueLanes, contextLen, spec } = plan;
    const grid = limits.maxComputeWorkgroupsPerDimension;
    for (const { numTiles, numRows } of blocks) {
      assert(numTiles > 0 && numRows > 0);
      assert(numTiles <= grid && numRows <= grid);
    }
    assert(columnGroups >= 1 && columnGroups <= grid);
    assert(valueBlocks(plan) <= grid);
    for (const size of Object.values(workgroup)) {
      assert(size <= limits.maxComputeInvocationsPerWorkgroup);
      // Reductions halve the workgroup until one is left.
      assert(Number.isInteger(Math.log2(size)), `${size}`);
    }
    assert(workgroup.softmax * 8 <= limits.maxComputeWorkgroupStorageSize);
    const pack = packSize(spec.valueDim) * loadPacks(plan.loads.values);
    assert(workgroup.weightedSum * 4 * pack * rowTile <= limits.maxComputeWorkgroupStorageSize);
    assertEquals(workgroup.weightedSum % valueLanes, 0);
    assert((columnGroups - 1) * workgroup.scores * 4 < contextLen, "an idle group of columns");
    assertEquals(spec.valueDim % pack, 0);
    assert(valueBlocks(plan) * valueLanes * pack >= spec.valueDim);
    assert((valueBlocks(plan) - 1) * valueLanes * pack < spec.valueDim, "an idle block of values");
  }
});

testRandomly("plan: contextLen holds every visible key", (random) => {
  for (const { plan } of randomPlans(random, 300)) {
    const { capacity, seqLen, window = Infinity } = plan.spec;
    // The first query is the one that looks furthest back.
    const firstVisible = Math.max(0, capacity - seqLen + 1 - window);
    assertEquals(plan.contextLen, capacity - firstVisible);
  }
});

const WRONG: readonly {
  given: Record<string, unknown>;
  throws: typeof TypeError | typeof RangeError;
  says: string;
}[] = [
  { given: { numHeads: 5 }, throws: RangeError, says: "numHeads=5, numKvHeads=2" },
  { given: { numHeads: 1 }, throws: RangeError, says: "numHeads=1, numKvHeads=2" },
  { given: { numHeads: 0 }, throws: RangeError, says: "numHeads=0" },
  { given: { numHeads: undefined }, throws: TypeError, says: "numHeads=undefined" },
  { given: { numKvHeads: -1 }, throws: RangeError, says: "numKvHeads=-1" },
  { given: { numKvHeads: "2" }, throws: TypeError, says: 'numKvHeads="2"' },
  { given: { headDim: 0 }, throws: RangeError, says: "headDim=0" },
  { given: { headDim: 1.5 }, throws: RangeError, says: "headDim=1.5" },
  { given: { headDim: null }, throws: TypeError, says: "headDim=null" },
  { given: { valueDim: NaN }, throws: RangeError, says: "valueDim=NaN" },
  { given: { batch: 2n }, throws: TypeError, says: "batch=2" },
  { given: { batch: 2 ** 60 }, throws: RangeError, says: "batch=" },
  { given: { seqLen: 0 }, throws: RangeError, says: "seqLen=0" },
  { given: { seqLen: Infinity }, throws: RangeError, says: "seqLen=Infinity" },
  { given: { capacity: -5 }, throws: RangeError, says: "capacity=-5" },
  { given: { capacity: undefined }, throws: TypeError, says: "capacity=undefined" },
  { given: { window: 0 }, throws: RangeError, says: "window=0" },
  { given: { window: 2.5 }, throws: RangeError, says: "window=2.5" },
  { given: { window: null }, throws: TypeError, says: "window=null" },
  { given: { scale: NaN }, throws: RangeError, says: "scale=NaN" },
  { given: { scale: Infinity }, throws: RangeError, says: "scale=Infinity" },
  { given: { scale: "1" }, throws: TypeError, says: 'scale="1"' },
  { given: { causal: 1 }, throws: TypeError, says: "causal=1" },
  { given: { alignment: "center" }, throws: TypeError, says: 'alignment="center"' },
  { given: { alignment: -1 }, throws: RangeError, says: "alignment=-1" },
  { given: { windowRight: -1, causal: false }, throws: RangeError, says: "windowRight=-1" },
  { given: { windowRight: 2 }, throws: RangeError, says: "windowRight=2, causal=true" },
  { given: { softcap: 0 }, throws: RangeError, says: "softcap=0" },
  { given: { softcap: -3 }, throws: RangeError, says: "softcap=-3" },
  { given: { softcap: Infinity }, throws: RangeError, says: "softcap=Infinity" },
  { given: { softcap: "30" }, throws: TypeError, says: 'softcap="30"' },
  { given: { alibiSlopes: [1, 2, 3] }, throws: RangeError, says: "length=3, numHeads=4" },
  { given: { alibiSlopes: [1, 2, NaN, 4] }, throws: RangeError, says: "alibiSlopes[2]=NaN" },
  { given: { alibiSlopes: 1 }, throws: TypeError, says: "alibiSlopes=1" },
  { given: { sinkLogits: [] }, throws: RangeError, says: "length=0, numHeads=4" },
  { given: { sinkLogits: [0, "1", 0, 0] }, throws: TypeError, says: 'sinkLogits[1]="1"' },
  { given: { bias: [5] }, throws: TypeError, says: "bias=[5]" },
  { given: { bias: true }, throws: TypeError, says: "bias=true" },
  { given: { bias: [2, 5] }, throws: RangeError, says: "bias=[2, 5]" },
  { given: { mask: [2, 1, 3, 5] }, throws: RangeError, says: "batch=1, numHeads=4, seqLen=3" },
  { given: { mask: [3, 0] }, throws: RangeError, says: "mask[1]=0" },
  {
    given: { seqLen: 2 ** 16, mask: [2 ** 16, 2 ** 16 + 1] },
    throws: RangeError,
    says: "elements=4295032832, most=4294967296",
  },
  { given: { mask: [1, 1, 1, 1, 1] }, throws: TypeError, says: "mask=[1, 1, 1, 1, 1]" },
  { given: { maskKeys: "end" }, throws: TypeError, says: 'maskKeys="end"' },
  { given: { dtype: "f64" }, throws: TypeError, says: 'dtype="f64"' },
  { given: { layout: "NSH" }, throws: TypeError, says: 'layout="NSH"' },
  { given: { kvLayout: "bsnh" }, throws: TypeError, says: 'kvLayout="bsnh"' },
  { given: { outputs: ["probs"] }, throws: TypeError, says: 'outputs="probs"' },
  { given: { maxScratchBytes: 0 }, throws: RangeError, says: "maxScratchBytes=0" },
  {
    given: { maxScratchBytes: 79, impl: "staged" },
    throws: RangeError,
    says: "bytes=80, maxScratchBytes=79",
  },
  { given: { capacity: 2 ** 22 + 1 }, throws: RangeError, says: "k must fit one storage binding" },
  { given: { seqLen: 2 ** 20 + 1 }, throws: RangeError, says: "q must fit one storage binding" },
  { given: { valueDim: 2 ** 22 }, throws: RangeError, says: "v must fit one storage binding" },
  {
    given: { valueDim: 2 ** 20, seqLen: 32 },
    throws: RangeError,
    says: `o must fit one storage binding`,
  },
];

for (const { given, throws, says } of WRONG) {
  const [[name, value]] = Object.entries(given);
  Deno.test(`plan: refuses ${name} ${value}`, () => {
    assertThrows(() => planAttention({ ...SPEC, ...given } as AttentionSpec, LIMITS), throws, says);
  });
}

Deno.test("plan: refuses returned rows that fit no binding, and does without them in blocks", () => {
  const spec: AttentionSpec = { numHeads: 1, headDim: 1, seqLen: 10_000, capacity: 10_000 };
  const says = "bytes=400000000, maxStorageBufferBindingSize=134217728";
  for (const outputs of [["products"], ["softcapped"], ["scores"], ["weights"]] as const) {
    assertThrows(() => stagedPlan({ ...spec, outputs }, LIMITS), RangeError, says);
  }
  const { blocks, scratchBytes } = stagedPlan(spec, LIMITS);
  assertEquals(blocks.length, 3);
  assert(scratchBytes <= LIMITS.maxStorageBufferBindingSize);
});

Deno.test("plan: the grid of staged scores fills a device, and no more with the capacity", () => {
  const DECODE = { numHeads: 32, numKvHeads: 1, headDim: 32 };
  const groups = (capacity: number, profile?: DeviceProfile) =>
    stagedPlan({ ...DECODE, capacity }, LIMITS, profile).columnGroups;
  assertEquals([256, 4096, 32768, 10 ** 6].map((capacity) => groups(capacity)), [1, 16, 64, 64]);
  const { software } = PROFILES;
  assertEquals([256, 4096, 32768].map((capacity) => groups(capacity, software)), [1, 1, 1]);
  // More rounds of loops than lavapipe lets one invocation make.
  assertEquals(groups(10 ** 6, software), 4);
});

Deno.test("plan: the scale is one over the root of the head size, or as given", () => {
  const scaleOf = (given: Partial<AttentionSpec>) =>
    stagedPlan({ ...SPEC, ...given }, LIMITS).spec.scale;
  assertAlmostEquals(scaleOf({ headDim: 128 }), 0.08838834764831845);
  assertEquals(scaleOf({ headDim: 128, scale: 2 }), 2);
  assertEquals(scaleOf({ scale: 0 }), 0);
});

Deno.test("plan: auto is fused, unless someone asks for what lies between", () => {
  assertEquals(planAttention(SPEC, LIMITS).impl, "fused");
  assertEquals(planAttention({ ...SPEC, outputs: ["lse"] }, LIMITS).impl, "fused");
  assertEquals(planAttention({ ...SPEC, outputs: ["weights"] }, LIMITS).impl, "staged");
  assertEquals(planAttention({ ...SPEC, impl: "staged" }, LIMITS).impl, "staged");
});

Deno.test("plan: auto falls back to staged where no fused tile fits, and fused says so", () => {
  const limits = { ...LIMITS, maxComputeWorkgroupStorageSize: 200 };
  const spec: AttentionSpec = { numHeads: 8, numKvHeads: 1, headDim: 8, seqLen: 4, capacity: 8 };
  assertEquals(planAttention(spec, limits).impl, "staged");
  const says = "maxComputeWorkgroupStorageSize=200";
  assertThrows(() => planAttention({ ...spec, impl: "fused" }, limits), RangeError, says);
});

Deno.test("plan: fused returns neither scores nor weights", () => {
  const spec: AttentionSpec = { ...SPEC, impl: "fused", outputs: ["weights"] };
  assertThrows(() => planAttention(spec, LIMITS), TypeError, 'outputs=["weights"]');
});

Deno.test("plan: a decode step of one KV head is cut into slices, a full device is not", () => {
  const decode = { numHeads: 32, numKvHeads: 1, headDim: 128, capacity: 4096 };
  assert(fusedPlan(decode).slices > 8);
  assertEquals(fusedPlan({ ...decode, batch: 600, capacity: 64 }).slices, 1);
  assertEquals(fusedPlan({ ...decode, capacity: 16 }).slices, 1);
});

Deno.test("plan: software adapters walk a long context in more slices, as their loops end", () => {
  const long: AttentionSpec = { numHeads: 4, numKvHeads: 4, headDim: 4, capacity: 2 ** 20 };
  const busy = { ...long, batch: 64, maxScratchBytes: 2 ** 30 };
  const limits = { ...LIMITS, maxStorageBufferBindingSize: 2 ** 32 };
  assertEquals(fusedPlan(busy, limits).slices, 2);
  for (const profile of Object.values(PROFILES).filter(({ isSoftware }) => isSoftware)) {
    const { slices, lanes, keys, strips, columns } = fusedPlan(busy, limits, profile);
    const tiles = Math.ceil(2 ** 20 / (lanes * keys) / slices);
    const rounds = tiles * (1 + lanes * keys / (strips * columns));
    assert(slices > 1 && rounds < 65535, `${slices} slices, ${rounds} rounds`);
  }
  // Keys are loaded one by one where values are.
  const odd = { ...long, headDim: 64, valueDim: 3 };
  const one = fusedPlan(odd, limits, PROFILES.software);
  const oddRounds = 64 + one.lanes * one.keys / (one.strips * one.columns);
  assert(Math.ceil(2 ** 20 / (one.lanes * one.keys) / one.slices) * oddRounds < 65535);
  const scarce: AttentionSpec = { ...busy, maxScratchBytes: 1000 };
  const says = "maxScratchBytes=1000";
  assertThrows(() => fusedPlan(scarce, limits, PROFILES.software), RangeError, says);
});

Deno.test("plan: workgroup memory has room for more than the weights and the reduction", () => {
  const tiling = { maxRows: 16, maxRowGroups: 1, keys: 3, maxPairs: 16, lanes: 64, workgroup: 64 };
  const others = { sharers: 0, partners: 1, keyChunk: 0, columns: 1, fillingWorkgroups: 1 };
  const tuning: Tuning = {
    ...{ schema: 3, adapter: "any" },
    tilings: [{ leastRows: 1, ...tiling, ...others }],
  };
  const sizes = { headDim: 256, valueDim: 128 };
  const spec: AttentionSpec = { numHeads: 16, numKvHeads: 1, ...sizes, capacity: 512, tuning };
  const lanes = (maxComputeWorkgroupStorageSize: number) =>
    fusedPlan(spec, { ...LIMITS, maxComputeWorkgroupStorageSize }).lanes;
  // Two strips of 64 lanes take 1024 bytes more.
  assertEquals([lanes(17407), lanes(17408)], [32, 64]);
});

testRandomly("plan: fused tiles cover all rows and values, within limits and scratch", (random) => {
  for (let made = 0; made < 300;) {
    const spec: AttentionSpec = { ...randomSpec(random), outputs: [] };
    const limits = randomLimits(random);
    const profile = random.pick(Object.values(PROFILES));
    const plan = planned(() => planAttention(spec, limits, profile));
    if (plan?.impl !== "fused") continue;
    made++;
    const { batch, numKvHeads, valueDim, headDim, maxScratchBytes } = plan.spec;
    const { rows, rowGroups, lanes, keys, strips, columns, slices, blocks, scratchBytes } = plan;
    const grid = limits.maxComputeWorkgroupsPerDimension;
    const perKvHead = plan.groupSize * plan.spec.seqLen;
    let tile = 0;
    for (const { firstTile, numTiles } of blocks) {
      assertEquals(firstTile, tile);
      assert(numTiles > 0 && numTiles <= grid);
      tile += numTiles;
    }
    assertEquals(tile, batch * numKvHeads * Math.ceil(perKvHead / (rows * rowGroups)));
    assert(lanes * rowGroups <= limits.maxComputeInvocationsPerWorkgroup);
    assert(laneWorkgroupBytes(plan.spec, plan) <= limits.maxComputeWorkgroupStorageSize);
    assertEquals(lanes * keys % (strips * columns), 0);
    for (const size of [lanes, strips, rowGroups, columns]) {
      assert(Number.isInteger(Math.log2(size)), `${size}`);
    }
    if (plan.sharers > 0) {
      const expectedStrips = plan.ownsColumns ? lanes : 1;
      assertEquals([rowGroups, strips, profile.subgroupSize % plan.sharers], [
        1,
        expectedStrips,
        0,
      ]);
      assert(lanes >= plan.sharers);
    }
    assert(!plan.shuffles || lanes <= profile.subgroupSize);
    const pack = headDim % 4 === 0 && valueDim % 4 === 0 ? 4 : 1;
    const elements = pack * loadPacks(plan.loads);
    assert(lanes / strips * plan.valueLoads * elements >= valueDim);
    assertEquals(headDim % (elements * plan.partners), 0);
    assert(plan.partners <= Math.max(1, profile.subgroupSize));
    assert(slices >= 1 && slices <= grid);
    assert(scratchBytes <= maxScratchBytes);
  }
});

/** Specifications whose sizes are beyond every device: refused at once, as no loop goes round them. */
const ABSURD: Readonly<Record<string, AttentionSpec>> = {
  "a batch": { batch: 2 ** 50, numHeads: 1, headDim: 1, capacity: 1 },
  heads: { numHeads: 2 ** 50, headDim: 64, capacity: 1024 },
  "KV heads of a cache": {
    ...{ numHeads: 2 ** 50, numKvHeads: 2 ** 50, headDim: 1, capacity: 2 ** 20, kvLayout: "BNSH" },
  },
  tokens: { numHeads: 1, headDim: 1, seqLen: 2 ** 50, capacity: 1 },
  "a context": { numHeads: 1, headDim: 1, capacity: 2 ** 52 },
  "a head": { numHeads: 1, headDim: 2 ** 52, capacity: 1 },
  "all sizes": {
    ...{ batch: 2 ** 52, numHeads: 2 ** 52, numKvHeads: 2 ** 52, headDim: 2 ** 52 },
    ...{ valueDim: 2 ** 52, seqLen: 2 ** 52, capacity: 2 ** 52, kvLayout: "BNSH" },
  },
  "blocks of one tile": {
    ...{ numHeads: 2 ** 50, numKvHeads: 1, headDim: 1, capacity: 4, maxScratchBytes: 200 },
    impl: "staged",
  },
};

for (const [name, spec] of Object.entries(ABSURD)) {
  for (const impl of spec.impl ? [spec.impl] : ["fused", "staged", "auto"] as const) {
    Deno.test(`plan: too large ${name} is refused at once, ${impl}`, () => {
      const start = performance.now();
      assertThrows(() => planAttention({ ...spec, impl }, LIMITS), RangeError, "Cannot plan");
      assertAtOnce(start);
    });
  }
}

Deno.test("plan: slices that no grid can merge are one, but where they leave a transform", () => {
  const limits = { ...LIMITS, maxComputeWorkgroupsPerDimension: 64 };
  const spec: AttentionSpec = { numHeads: 40, numKvHeads: 1, headDim: 64, capacity: 9000 };
  const slicesOf = (change: Partial<AttentionSpec>) =>
    fusedPlan({ ...spec, ...change }, limits).slices;
  // 16 packs of each row of 40 heads by 64 invocations are 10 workgroups for each sequence.
  assert(slicesOf({ batch: 6 }) > 1);
  assertEquals(slicesOf({ batch: 7 }), 1);
  assert(slicesOf({ batch: 7, kvDtype: "int4", kvRotation: "hadamard" }) > 1);
});

Deno.test("plan: a device whose grids hold no tile of rows is refused", () => {
  const limits = { ...LIMITS, maxComputeWorkgroupsPerDimension: 3 };
  const spec: AttentionSpec = { numHeads: 64, numKvHeads: 1, headDim: 8, capacity: 9 };
  const plan = () => planAttention({ ...spec, impl: "staged" }, limits);
  assertThrows(plan, RangeError, "a grid must hold one tile of rows");
});
