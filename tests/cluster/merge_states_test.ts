// States merged on the host: as on a device, and rows that nobody sees a key of are 0.
import { assertEquals } from "@std/assert";
import { mergeStates } from "../../mod.ts";
import { mergeOutputs } from "../../src/cluster/merge_states.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";

testRandomly("mergeOutputs: as MergeStates merges on a device", async (random) => {
  const [rows, valueDim] = [random.integer(1, 9), random.integer(1, 7)];
  const states = Array.from({ length: random.integer(1, 4) }, () => ({
    o: random.tensor([rows, valueDim]).data,
    lse: random.tensor([rows]).data.map((value) => 20 * value),
  }));
  const { o } = await mergeStates(
    await sharedGpu(),
    states.map(({ o, lse }) => ({
      o: { data: o, shape: [rows, valueDim] },
      lse: { data: lse, shape: [rows] },
    })),
  );
  assertClose(mergeOutputs(states, valueDim), o.data, TOLERANCE.f32, "o");
});

Deno.test("mergeOutputs: a shard without visible keys has no weight, and a row without any is 0", () => {
  const state = (lse: number[], o: number[]) => ({
    o: Float32Array.from(o),
    lse: Float32Array.from(lse),
  });
  const masked = -3.4028234663852886e38;
  const merged = mergeOutputs([
    state([-Infinity, 1, masked], [9, 2, 0]),
    state([-Infinity, masked, masked], [9, 7, 0]),
  ], 1);
  assertEquals([...merged], [0, 2, 0]);
});
