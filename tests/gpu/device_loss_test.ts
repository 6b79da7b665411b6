// A device that is lost, at whatever moment of whatever call: the call says so, nothing hangs, and no rejection is left over.
import { assert, assertEquals } from "@std/assert";
import type { Loss } from "../support/losing_device.ts";
import { CALLS, LONG_CALLS } from "../support/device_calls.ts";
import { loseAt, type Prepare, unhandled } from "../support/loss.ts";
import { type Random, testRandomly } from "../support/random.ts";

/** `most` moments of a call are tried in one run; another seed tries others. `-- --every-moment` tries all. */
const LOSSES: readonly (Loss & { most: number })[] = [
  { moments: "waits", by: "destroy", most: 12 },
  { moments: "waits", by: "itself", most: 4 },
  { moments: "calls", by: "destroy", most: 4 },
];
const LONG_CALLS_IN_A_RUN = 3;
const isThorough = Deno.args.includes("--every-moment");

for (const [name, prepare] of Object.entries(CALLS)) {
  for (const { most, ...loss } of LOSSES) {
    testRandomly(
      `loss: ${name}, at its ${loss.moments}, by ${loss.by}`,
      (random) => loseSometimes(random, prepare, loss, most),
    );
  }
}

testRandomly("loss: calls that take longer, some of them", async (random) => {
  const names = Object.keys(LONG_CALLS);
  const drawn = isThorough ? names.keys() : chosen(random, names.length, LONG_CALLS_IN_A_RUN);
  for (const i of drawn) {
    const losses = isThorough ? LOSSES : [random.pick(LOSSES)];
    for (const loss of losses) {
      try {
        await loseSometimes(random, LONG_CALLS[names[i]], loss, 1);
      } catch (error) {
        throw new Error(`${names[i]}, at its ${loss.moments}, by ${loss.by}`, { cause: error });
      }
    }
  }
});

/** Loses the device of a call at some of its moments, each time anew. */
async function loseSometimes(
  random: Random,
  prepare: Prepare,
  loss: Loss,
  most: number,
): Promise<void> {
  const reasons = await unhandled(async () => {
    const count = await loseAt(Infinity, loss, prepare, random);
    assert(count > 0, "there is no moment at which the device can be lost");
    for (const moment of chosen(random, count, isThorough ? count : most)) {
      await loseAt(moment, loss, prepare, random);
    }
  });
  assertEquals(reasons, []);
}

/** So many of the numbers below `count`. */
function chosen(random: Random, count: number, most: number): number[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  while (numbers.length > most) numbers.splice(random.integer(0, numbers.length - 1), 1);
  return numbers;
}
