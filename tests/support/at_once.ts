import { assert } from "@std/assert";

/** Milliseconds of a refusal that goes through the sizes that it refuses: a busy machine needs less for any other. */
const LONG_MS = 30_000;

/** Fails where what began at `start` took time that grows with the sizes that it was given. */
export function assertAtOnce(start: number): void {
  const ms = performance.now() - start;
  assert(ms < LONG_MS, `it took ${ms} ms`);
}
