// A device that is lost, at whatever moment of whatever call: the call says so, nothing hangs, and no rejection is left over.
import { assert, assertEquals } from "@std/assert";
import type { Moments } from "../support/losing_device.ts";
import { CALLS, loseAt, unhandled } from "../support/loss.ts";
import { type Random, testRandomly } from "../support/random.ts";

/** Moments of a call that one run tries; another seed tries others. `-- --every-moment` tries all. */
const MOST: Readonly<Record<Moments, number>> = { waits: 12, calls: 4 };
const isThorough = Deno.args.includes("--every-moment");

for (const [name, prepare] of Object.entries(CALLS)) {
  for (const moments of ["waits", "calls"] as const) {
    testRandomly(`loss: ${name}, at its ${moments}`, async (random) => {
      const reasons = await unhandled(async () => {
        const count = await loseAt(prepare, random, moments, Infinity);
        assert(count > 0, "there is no moment at which the device can be lost");
        for (const moment of chosen(random, count, isThorough ? count : MOST[moments])) {
          await loseAt(prepare, random, moments, moment);
        }
      });
      assertEquals(reasons, []);
    });
  }
}

/** So many of the numbers below `count`. */
function chosen(random: Random, count: number, most: number): number[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  while (numbers.length > most) numbers.splice(random.integer(0, numbers.length - 1), 1);
  return numbers;
}
