// Runs calls whose device is lost at a moment.
import { assert, assertEquals } from "@std/assert";
import { DeviceLostError, type Gpu } from "../../mod.ts";
import { type Loss, openLosing } from "./losing_device.ts";
import type { Random } from "./random.ts";
import { within } from "./within.ts";

/** `most` moments of a call are tried in one run; another seed tries others. `-- --every-moment` tries all. */
export const LOSSES: readonly (Loss & { most: number })[] = [
  { moments: "waits", by: "destroy", most: 12 },
  { moments: "waits", by: "itself", most: 4 },
  { moments: "calls", by: "destroy", most: 4 },
];
/** Whether every moment is tried. */
export const isThorough = Deno.args.includes("--every-moment");

/** A call that must survive the loss of its device, after what it needs has been made. */
export type Prepare = (gpu: Gpu, random: Random) => Promise<() => Promise<unknown>>;

/** Runs a call whose device is lost at a moment; returns the number of moments that passed. */
async function loseAt(
  moment: number,
  loss: Loss,
  prepare: Prepare,
  random: Random,
): Promise<number> {
  const losing = await openLosing(loss);
  try {
    const call = await prepare(losing.gpu, random);
    losing.start(moment);
    const [outcome] = await within(Promise.allSettled([call()]), `moment ${moment}`);
    const isFulfilled = outcome.status === "fulfilled";
    if (losing.passed <= moment) assert(isFulfilled, `nothing is lost: ${outcomeText(outcome)}`);
    else {
      // A runtime that does not know of the loss yet may bring the last results.
      const isRight = isFulfilled
        ? loss.by === "itself"
        : outcome.reason instanceof DeviceLostError;
      assert(isRight, `lost at moment ${moment}: ${outcomeText(outcome)}`);
    }
    return losing.passed;
  } finally {
    losing.gpu.destroy();
  }
}

function outcomeText(outcome: PromiseSettledResult<unknown>): string {
  return outcome.status === "fulfilled" ? "it resolved" : outcome.reason.stack;
}

/** Runs a test and returns the rejections that nobody handled. */
async function unhandled(test: () => Promise<void>): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reasons.push(event.reason);
  };
  addEventListener("unhandledrejection", listen);
  try {
    await test();
    // The runtime tells them after the tasks that are under way.
    await new Promise((resolve) => setTimeout(resolve, 50));
  } finally {
    removeEventListener("unhandledrejection", listen);
  }
  return reasons;
}

/** Loses the device of a call at some of its moments, each time anew. */
export async function loseSometimes(
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
export function chosen(random: Random, count: number, most: number): number[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  while (numbers.length > most) numbers.splice(random.integer(0, numbers.length - 1), 1);
  return numbers;
}
