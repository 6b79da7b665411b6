// Explaining a plan: every figure is that of the plan, and the floor is counted one by one.
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { type AttentionSpec, explain, planAttention, type PlanLimits } from "../../mod.ts";
import { movedBytes, operations, visiblePairs } from "../../src/plan/counts.ts";
import { fusedPlan, LIMITS, stagedPlan } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";

const DECODE: AttentionSpec = { numHeads: 32, numKvHeads: 1, headDim: 128, capacity: 4096 };

/** The text after a label. */
function row(spec: AttentionSpec, label: string, limits = LIMITS): string {
  const lines = explain(planAttention(spec, limits)).split("\n");
  const found = lines.find((line) => line.startsWith(`${label} `));
  return found!.slice(label.length).trim();
}

Deno.test("explain: says which implementation, and why", () => {
  assertEquals(row(DECODE, "fused"), "as nothing but the output is asked for");
  assertEquals(row({ ...DECODE, impl: "fused" }, "fused"), 'as impl "fused" is asked for');
  assertEquals(row({ ...DECODE, impl: "staged" }, "staged"), 'as impl "staged" is asked for');
  const outputs = ["scores", "weights"] as const;
  assertEquals(row({ ...DECODE, outputs }, "staged"), "as outputs are asked for: scores, weights");
});

Deno.test("explain: a fallback names the limit, as does the refusal of what is forced", () => {
  const limits: PlanLimits = { ...LIMITS, maxComputeWorkgroupStorageSize: 200 };
  const spec: AttentionSpec = { numHeads: 8, numKvHeads: 1, headDim: 8, seqLen: 4, capacity: 8 };
  const says = "maxComputeWorkgroupStorageSize=200";
  assertStringIncludes(row(spec, "staged", limits), "as no fused tile fits: ");
  assertStringIncludes(row(spec, "staged", limits), says);
  assertThrows(() => planAttention({ ...spec, impl: "fused" }, limits), RangeError, says);
});

Deno.test("explain: functions of scores are named", () => {
  const wgsl = "fn warm(score: f32, at: ScoreAt) -> f32 { return 2.0 * score; }";
  const near = "fn near(at: ScoreAt) -> bool { return at.query - at.key < 9; }";
  const mods = { scoreMod: { name: "warm", wgsl }, maskMod: { name: "near", wgsl: near } };
  const says = "f32, causal, scoreMod warm, maskMod near";
  assertStringIncludes(row({ ...DECODE, ...mods }, "attention"), says);
});

Deno.test("explain: a smaller tile names the limits that it fits", () => {
  const limits: PlanLimits = { ...LIMITS, maxComputeInvocationsPerWorkgroup: 32 };
  const plan = planAttention(DECODE, limits);
  assert(plan.impl === "fused" && plan.lanes < plan.wantedLanes);
  assertEquals(
    row(DECODE, "fused", limits),
    `as nothing but the output is asked for; ${plan.lanes} lanes instead of ${plan.wantedLanes} ` +
      "fit a workgroup: maxComputeInvocationsPerWorkgroup=32, maxComputeWorkgroupStorageSize=16384",
  );
});

Deno.test("explain: shapes, dispatches and bytes are those of the plan", () => {
  const plan = fusedPlan(DECODE);
  const tiles = plan.blocks[0].numTiles;
  assertEquals(row(DECODE, "slices"), `${plan.slices} of the context, merged`);
  assertEquals(row(DECODE, "dispatches"), `2: attend ${plan.slices} x ${tiles}, merge 16 x 1`);
  assertEquals(row(DECODE, "scratch"), `${plan.scratchBytes.toLocaleString("en-US")} bytes`);
  assertEquals(row(DECODE, "moves"), "4,227,072 bytes at least");
  assertEquals(row(DECODE, "computes"), "67,108,864 operations at least");
  assertEquals(
    row({ ...DECODE, batch: 2, valueDim: 64, dtype: "f16", window: 100 }, "attention"),
    "32 query heads over 1 (groups of 32) of size 128, values of 64, batch 2, " +
      "1 new of up to 100 tokens, f16, causal, window 100",
  );
});

Deno.test("explain: blocks are counted, and their first dispatches shown", () => {
  const spec: AttentionSpec = { ...DECODE, impl: "staged", seqLen: 64, maxScratchBytes: 2 ** 23 };
  const { blocks } = stagedPlan(spec);
  assertEquals(row(spec, "blocks"), `${blocks.length} of rows`);
  assertStringIncludes(
    row(spec, "dispatches"),
    `${3 * blocks.length}: scores 8 x 64, softmax 512`,
  );
  assertStringIncludes(row(spec, "dispatches"), ", ...");
});

Deno.test("counts: bytes are q, K, V, o and what is returned", () => {
  const spec: AttentionSpec = { numHeads: 6, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 5 };
  const rows = 6 * 3;
  const bytes = (given: Partial<AttentionSpec>) => movedBytes(stagedPlan({ ...spec, ...given }));
  assertEquals(bytes({}), 4 * (2 * rows * 8 + 2 * 2 * 5 * 8));
  assertEquals(bytes({ valueDim: 4 }), 4 * (rows * 12 + 2 * 5 * 12));
  assertEquals(bytes({ dtype: "f16", batch: 2 }), 2 * 2 * (2 * rows * 8 + 2 * 2 * 5 * 8));
  assertEquals(bytes({ outputs: ["scores", "weights"] }), bytes({}) + 2 * rows * 5 * 4);
  assertEquals(bytes({ outputs: ["lse"] }), bytes({}) + rows * 4);
  // A window of 2 leaves three queries four tokens to read.
  assertEquals(bytes({ window: 2 }), 4 * (2 * rows * 8 + 2 * 2 * 4 * 8));
});

testRandomly(
  "counts: pairs with sinks, windows on both sides and any alignment",
  (random: Random) => {
    for (let i = 0; i < 500; i++) {
      const [seqLen, contextLen] = [random.integer(1, 25), random.integer(1, 20)];
      const start = random.integer(-30, 30);
      const spec = {
        ...stagedPlan({ batch: 2, numHeads: 3, headDim: 4, seqLen, capacity: contextLen }).spec,
        causal: random.next() < 0.5,
        window: random.pick([undefined, random.integer(1, 20)]),
        windowRight: random.pick([undefined, random.integer(0, 20)]),
        ...{ sinks: random.pick([0, random.integer(1, 9)]), alignment: start },
      };
      const { window = Infinity, windowRight = Infinity } = spec;
      const right = spec.causal ? 0 : windowRight;
      let pairs = 0;
      for (let query = start; query < start + seqLen; query++) {
        for (let key = 0; key < contextLen; key++) {
          const isInWindow = query - key < window && key - query <= right;
          // A sink is seen from wherever the window has left it behind.
          if (isInWindow || (key < spec.sinks && query - key >= window)) pairs++;
        }
      }
      assertEquals(visiblePairs({ spec, contextLen }), 6 * pairs, JSON.stringify(spec));
    }
    const huge = { ...stagedPlan({ numHeads: 1, headDim: 4, seqLen: 1, capacity: 9 }).spec };
    const tokens = 2 ** 26;
    const all = visiblePairs({
      spec: { ...huge, seqLen: tokens, causal: true },
      contextLen: tokens,
    });
    assertEquals(all, tokens * (tokens + 1) / 2);
  },
);

testRandomly("counts: pairs are those of a mask, one by one", (random: Random) => {
  for (let i = 0; i < 200; i++) {
    const capacity = random.integer(1, 20);
    const spec: AttentionSpec = {
      ...{ batch: 2, numHeads: 3, headDim: 4, valueDim: 7, capacity },
      seqLen: random.integer(1, 25),
      causal: random.next() < 0.5,
      window: random.next() < 0.5 ? undefined : random.integer(1, 20),
    };
    const plan = stagedPlan(spec);
    const { seqLen, causal, window = Infinity } = plan.spec;
    let pairs = 0;
    for (let query = capacity - seqLen; query < capacity; query++) {
      for (let key = 0; key < capacity; key++) {
        if (query - key < window && (!causal || key <= query)) pairs++;
      }
    }
    assertEquals(visiblePairs(plan), 6 * pairs, JSON.stringify(spec));
    assertEquals(operations(plan), 6 * pairs * 2 * (4 + 7));
  }
});

testRandomly(
  "counts: pairs with sinks, windows to the right and other alignments",
  (random: Random) => {
    for (let i = 0; i < 200; i++) {
      const causal = random.next() < 0.5;
      const spec: AttentionSpec = {
        ...{ numHeads: 1, headDim: 4, capacity: random.integer(1, 20), causal },
        seqLen: random.integer(1, 25),
        sinks: random.integer(0, 5),
        window: random.pick([undefined, random.integer(1, 20)]),
        windowRight: causal ? undefined : random.pick([undefined, random.integer(0, 9)]),
        alignment: random.pick(["top-left", random.integer(0, 30)]),
      };
      const plan = stagedPlan(spec);
      const { seqLen, capacity, sinks, alignment } = plan.spec;
      const { window = Infinity, windowRight = Infinity } = plan.spec;
      const first = alignment === "top-left" ? 0 : alignment as number;
      let pairs = 0;
      for (let query = first; query < first + seqLen; query++) {
        for (let key = 0; key < capacity; key++) {
          const isBefore = key <= query + (causal ? 0 : windowRight);
          if (isBefore && (query - key < window || key < sinks)) pairs++;
        }
      }
      assertEquals(visiblePairs(plan), pairs, JSON.stringify(spec));
    }
  },
);

Deno.test("movedBytes() has the sinks of a window once, beside the columns that any query sees", () => {
  const spec = { ...{ numHeads: 6, numKvHeads: 2, headDim: 8, valueDim: 4, seqLen: 3 } } as const;
  const plan = fusedPlan({ ...spec, capacity: 100, window: 10, sinks: 4 });
  // Three queries look over 12 columns and 4 sinks: keys and values of 2 heads, and q and o of 6, in f32.
  assertEquals(plan.contextLen, 16);
  assertEquals(movedBytes(plan), 4 * (16 * 2 * (8 + 4) + 3 * 6 * (8 + 4)));
  // Each sees its own 10 and the sinks.
  assertEquals(visiblePairs({ ...plan, contextLen: 100 }), 6 * 3 * 14);
});

Deno.test("counts: pairs take no longer for more tokens", () => {
  const spec = { ...stagedPlan(DECODE).spec, seqLen: 2 ** 40, batch: 1, numHeads: 1 };
  assertEquals(visiblePairs({ spec, contextLen: 2 ** 40 }), 2 ** 39 * (2 ** 40 + 1));
});
