// The short form of `deno run soak`.
import { assert, assertEquals } from "@std/assert";
import { TOLERANCE } from "../support/compare.ts";
import { buffersOf } from "../support/buffers.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { type Checkpoint, faultsOf, soak } from "./soak.ts";

testRandomly(
  "soak: thousands of tokens through a small ring, and the error does not grow",
  async (random) => {
    const gpu = await sharedGpu();
    let checkpoints: Checkpoint[] = [];
    const { alive } = await buffersOf(async () => {
      checkpoints = await soak(gpu, random, { tokens: 3000, checkpoints: 3 });
    });
    assert(checkpoints.at(-1)!.tokens >= 3000);
    for (const { error } of checkpoints) assert(error > 0 && error < TOLERANCE.f32, `${error}`);
    // Only what an append, a rollback or a bind leaves to be collected, and not the tensors or caches.
    const kept = alive.filter((label) =>
      !["append params", "cache truncated lengths"].includes(label)
    );
    assertEquals(kept, []);
  },
);

Deno.test("soak: memory or error that grows is a fault", () => {
  const flat = { tokens: 1, appends: 1, error: 1e-6, rss: 100 };
  const faults = (...late: Partial<Checkpoint>[]) =>
    faultsOf([flat, flat, ...late.map((it) => ({ ...flat, ...it }))], 1e-5);
  const sizes = (...sizes: number[]) => faultsOf(sizes.map((rss) => ({ ...flat, rss })), 1e-5);
  assertEquals(faults({}, {}), []);
  assertEquals(sizes(100, 101, 102, 103), ["rss grew from 100 to 103"]);
  assertEquals(sizes(90, 100, 101, 102, 103, 104, 105, 106), ["rss grew from 90 to 106"]);
  assertEquals(sizes(100, 110, 110, 110, 110, 110, 120, 120), []);
  assertEquals(faults({ error: 3e-6 }, {}), ["error grew from 0.000001 to 0.000003"]);
  assertEquals(faults({ error: NaN }, {}).length, 1);
  assertEquals(faults({ error: 0 }, {}).length, 1);
});
