import { assert } from "@std/assert";

/**
 * Milliseconds that a busy machine takes for no refusal, unless that goes through the sizes that it refuses: sizes of 2 ** 40
 * and more, as those of 1e9 may take less.
 */
const LONG_MS = 30_000;

/** Fails where what began at `start` took time that grows with the sizes that it was given. */
export function assertAtOnce(start: number): void {
  const ms = performance.now() - start;
  assert(ms < LONG_MS, `it took ${ms} ms`);
}
