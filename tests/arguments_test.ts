// Arguments of the wrong kind: whatever is public refuses them by an error of its own, in words that say what is wrong.
import { assert, assertEquals } from "@std/assert";
import * as library from "../mod.ts";
import * as checkpoints from "../src/checkpoints/mod.ts";
import * as model from "../src/model/mod.ts";
import * as train from "../src/train/mod.ts";
import { sharedGpu } from "./support/gpu.ts";
import { callable, hostileCalls, triedValues } from "./support/hostile.ts";
import { testRandomly } from "./support/random.ts";
import { rightCalls } from "./support/right_calls.ts";

const EXPORTS = { ...library, ...checkpoints, ...model, ...train };
/** Made by the caches alone, of what nobody else has. */
const OF_THE_LIBRARY = ["PagedLayer.create"];

testRandomly("arguments: each is refused by name where it is of the wrong kind", async (random) => {
  const gpu = await sharedGpu();
  const folder = await Deno.makeTempDir();
  try {
    const calls = await rightCalls(gpu, random, folder);
    const missing = callable(EXPORTS).filter((name) => !(name in calls.given));
    assertEquals(
      missing,
      OF_THE_LIBRARY,
      "calls without right arguments in tests/support/right_calls.ts",
    );
    const faults = await hostileCalls(EXPORTS, calls, triedValues(random));
    assert(faults.length === 0, faults.join("\n"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
