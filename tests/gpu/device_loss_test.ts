// A device that is lost, at whatever moment of whatever call: the call says so, nothing hangs, and no rejection is left over.
import { CALLS, LONG_CALLS } from "../support/device_calls.ts";
import { chosen, isThorough, loseSometimes, LOSSES } from "../support/loss.ts";
import { testRandomly } from "../support/random.ts";

const LONG_CALLS_IN_A_RUN = 3;

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
