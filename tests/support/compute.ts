/** Computes for so many milliseconds, in which this thread does nothing else. */
export function compute(ms: number): void {
  const start = performance.now();
  while (performance.now() - start < ms);
}
