// The plan: its figures, and where they come from.
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Device } from "../../../cli/plan/device.ts";
import { GPUS } from "../../../cli/plan/gpus.ts";
import { MODELS } from "../../../cli/shared/presets.ts";
import { findByName } from "../../../cli/shared/names.ts";
import { makePlan } from "../../../cli/plan/make_plan.ts";
import type { PlanRequest } from "../../../cli/plan/plan.ts";

const DEVICE: Device = {
  name: "test",
  memoryBytes: 80e9,
  bytesPerSecond: 2e12,
  f32FlopsPerSecond: 2e13,
  f16FlopsPerSecond: 2e14,
  source: "made up",
};
const REQUEST: PlanRequest = {
  model: findByName("model", MODELS, "llama-2-7b"),
  device: DEVICE,
  contextLens: [4096, 65536],
  batches: [1, 8],
  kvHeads: [1, 8, 32],
  dtypes: ["f16", "int8"],
  weightBits: 16,
};

Deno.test("makePlan() has a variant for each number of KV heads, MHA first, and a cache for each type", () => {
  const { variants } = makePlan(REQUEST);
  assertEquals(variants.map(({ label }) => label), ["MHA", "GQA-8", "MQA"]);
  assertEquals(variants.map(({ isOwn }) => isOwn), [true, false, false]);
  for (const { caches } of variants) {
    assertEquals(caches.map(({ dtype }) => dtype), ["f16", "int8"]);
  }
});

Deno.test("makePlan() says what fits beside the weights, and how far one can go", () => {
  const { weightBytes, freeBytes, variants } = makePlan(REQUEST);
  assertEquals(weightBytes, 6_738_415_616 * 2);
  assertEquals(freeBytes, 80e9 - weightBytes);
  const [mha, , mqa] = variants.map(({ caches: [f16] }) => f16);
  assertEquals(mha.cells.map(({ fits }) => fits), [true, true, true, false]);
  assertEquals(mha.largestBatches.map(({ batch }) => batch), [30, 1]);
  assertEquals(mqa.cells.map(({ fits }) => fits), [true, true, true, true]);
  assertEquals([mha.bytesPerToken, mqa.bytesPerToken], [524288, 16384]);
  assertEquals(mqa.cells[3].kvBytes, 16384 * 65536 * 8);
});

Deno.test("makePlan() adds attention and weights to a step", () => {
  const [{ caches: [{ cells }] }] = makePlan(REQUEST).variants;
  const [{ attentionMs, weightsMs, tokensPerSecond, bound }, , , large] = cells;
  assertAlmostEquals(attentionMs, 524288 * 4096 / 2e12 * 1e3, 1e-9);
  assertAlmostEquals(weightsMs, 6_738_415_616 * 2 / 2e12 * 1e3, 1e-9);
  assertAlmostEquals(tokensPerSecond, 1e3 / (attentionMs + weightsMs), 1e-6);
  assertEquals(bound, "memory");
  assertAlmostEquals(large.tokensPerSecond, 8e3 / (large.attentionMs + weightsMs), 1e-6);
  // From a batch of 100 on, weights wait for f16 arithmetic: 2 operations a parameter against 2 bytes.
  const wide = makePlan({ ...REQUEST, batches: [1000] }).variants[2].caches[0].cells[0];
  assertAlmostEquals(wide.weightsMs, 10 * weightsMs, 1e-6);
});

Deno.test("makePlan() reads of experts those that a batch passes", () => {
  const model = {
    ...REQUEST.model,
    experts: { count: 8, perToken: 2, width: 0, parameters: 6e9 },
    parameters: 7e9,
  };
  const device = { ...DEVICE, f16FlopsPerSecond: 1e18 };
  const plan = makePlan({ ...REQUEST, model, device, batches: [1, 2, 1000] });
  assertEquals(plan.weightBytes, 14e9);
  const [one, two, many] = plan.variants[0].caches[0].cells;
  assertAlmostEquals(one.weightsMs, (1e9 + 6e9 / 4) * 2 / 2e12 * 1e3, 1e-9);
  // The second token passes a quarter of the experts that the first left.
  assertAlmostEquals(two.weightsMs, (1e9 + 6e9 * 7 / 16) * 2 / 2e12 * 1e3, 1e-9);
  assertAlmostEquals(many.weightsMs, 7e9 * 2 / 2e12 * 1e3, 1e-9);
  // Operations are those of what a token passes.
  const slow = makePlan({ ...REQUEST, model, device: { ...DEVICE, f16FlopsPerSecond: 1 } });
  assertAlmostEquals(slow.variants[0].caches[0].cells[1].weightsMs, 2 * 2.5e9 * 8 * 1e3, 1);
});

Deno.test("makePlan() finds the corner among the groups", () => {
  const [f16, int8] = makePlan(REQUEST).groups;
  assertEquals(f16.contextLen, 65536);
  assertAlmostEquals(f16.crossingGroupSize, 10);
  const sizes = [1, 2, 4, 8, 10, 16, 32];
  f16.points.forEach(({ groupSize }, i) => assertAlmostEquals(groupSize, sizes[i]));
  assertEquals(f16.points.length, sizes.length);
  assertEquals(f16.points.map(({ bound }) => bound), [
    ...Array(4).fill("memory"),
    "both",
    "compute",
    "compute",
  ]);
  const rates = f16.points.map(({ tokensPerSecond }) => tokensPerSecond);
  assertAlmostEquals(rates[3] / rates[0], 8);
  assertAlmostEquals(rates[4] / rates[0], 10);
  assertAlmostEquals(rates[6], rates[4], 1e-9);
  assert(int8.crossingGroupSize < 6);
});

Deno.test("makePlan() puts the corner of a device that loads and computes by turns on its curve", () => {
  const device = { ...DEVICE, isSerial: true };
  const [{ points, crossingGroupSize }] = makePlan({ ...REQUEST, device, dtypes: ["f16"] }).groups;
  // 32 layers of 65,536 tokens: 512 bytes for each KV head and 512 operations for each of 32 heads. Both times add up.
  const seconds = (groupSize: number) =>
    32 * 65536 * (512 * 32 / groupSize / 2e12 + 512 * 32 / 2e13);
  assertAlmostEquals(crossingGroupSize, 10);
  assertEquals(points.map(({ groupSize }) => Math.round(groupSize)), [1, 2, 4, 8, 10, 16, 32]);
  for (const { groupSize, tokensPerSecond } of points) {
    assertAlmostEquals(tokensPerSecond * seconds(groupSize), 1, 1e-9, `groups of ${groupSize}`);
  }
  // At the corner each of the two takes as long as the other.
  assertAlmostEquals(points[4].tokensPerSecond * 2 * 32 * 65536 * 512 * 32 / 2e13, 1, 1e-9);
  assertEquals(points[4].bound, "both");
});

Deno.test("makePlan() leaves out the corner where no group reaches it", () => {
  const device = { ...DEVICE, f32FlopsPerSecond: 1e15 };
  const [{ points, crossingGroupSize }] = makePlan({ ...REQUEST, device }).groups;
  assert(crossingGroupSize > 32);
  assertEquals(new Set(points.map(({ bound }) => bound)), new Set(["memory"]));
});

Deno.test("makePlan() notes what it leaves out, and refuses to leave out all", () => {
  const model = findByName("model", MODELS, "falcon-7b");
  const { variants, notes } = makePlan({ ...REQUEST, model, kvHeads: [8, 71, 1] });
  assertEquals(variants.map(({ label }) => label), ["MHA", "MQA"]);
  assert(notes.some((note) => note.startsWith("8 KV heads are left out")));
  assertThrows(
    () => makePlan({ ...REQUEST, model, kvHeads: [8] }),
    RangeError,
    "heads=71, KV heads=8",
  );
});

Deno.test("makePlan() does without a device's memory, and says so", () => {
  const plan = makePlan({ ...REQUEST, device: { ...DEVICE, memoryBytes: undefined } });
  assertEquals(plan.freeBytes, null);
  const [{ cells, largestBatches }] = plan.variants[0].caches;
  assertEquals(new Set(cells.map(({ fits }) => fits)), new Set([null]));
  assertEquals(largestBatches.map(({ batch }) => batch), [null, null]);
  assert(plan.notes.some((note) => note.includes("--memory")));
});

Deno.test("makePlan() refuses weights that do not fit, and says by how much", () => {
  const device = { ...DEVICE, memoryBytes: 12e9 };
  const says = `missingBytes=${6_738_415_616 * 2 - 12e9}`;
  assertThrows(() => makePlan({ ...REQUEST, device }), RangeError, says);
  assertEquals(makePlan({ ...REQUEST, device, weightBits: 4 }).weightBytes, 6_738_415_616 / 2);
});

Deno.test("makePlan() serves every model on every device that holds it", () => {
  let planned = 0;
  for (const model of MODELS) {
    for (const device of GPUS) {
      if (model.parameters / 2 > device.memoryBytes!) continue;
      const { variants, groups } = makePlan({ ...REQUEST, model, device, weightBits: 4 });
      for (const { caches } of variants) {
        for (const { cells } of caches) {
          for (const { tokensPerSecond } of cells) assert(tokensPerSecond > 0);
        }
      }
      assert(groups.every(({ points }) => points.length > 1));
      planned++;
    }
  }
  assert(planned > 100);
});
