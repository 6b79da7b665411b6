import { assertEquals, assertRejects } from "@std/assert";
import { withFewerKvHeads } from "../../../cli/shared/fewer_kv_heads.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { TINY, weightsWith } from "../../support/models.ts";

Deno.test("withFewerKvHeads() ends its progress where merging fails", async () => {
  let ended = 0;
  const out = { progress: () => ({ step() {}, [Symbol.dispose]: () => void ended++ }) };
  const checkpoint = {
    ...{ spec: TINY, weights: weightsWith(TINY, {}), endOfText: [] },
    close: () => Promise.resolve(),
  };
  const merging = { kvHeads: 3, method: "merged", calibration: [[0, 1]] } as const;
  const gpu = await sharedGpu();
  await assertRejects(() => withFewerKvHeads(gpu, checkpoint, merging, out), RangeError);
  assertEquals(ended, 1);
});
