// The short form of `deno run load`.
import { assert, assertEquals } from "@std/assert";
import { withModel } from "../support/commands.ts";
import { growsThroughout } from "../support/memory.ts";
import { testRandomly } from "../support/random.ts";
import { load } from "./load.ts";

testRandomly(
  "load: requests are answered while others go away, and no page is lost",
  async (random) => {
    await withModel(random, async (files) => {
      const options = { requests: 40, clients: 8, checkpoints: 4 };
      const { checkpoints, faults, tokens } = await load(random, files, options);
      assertEquals(faults, []);
      const { requests, answered, gone } = checkpoints.at(-1)!;
      assertEquals([checkpoints.length, requests, answered + gone], [4, 40, 40]);
      assert(answered > 10 && tokens >= answered);
    });
  },
);

Deno.test("load: memory that grows all the time is a fault, and steps are none", () => {
  assert(growsThroughout([1, 2, 3, 4, 5, 6, 7, 8]));
  assert(!growsThroughout([1, 5, 5, 5, 5, 5, 9, 9]));
  assert(!growsThroughout([1, 2, 3, 4, 5, 6, 6, 5]));
});
