/** What runs inside a runtime: the time from the import of the library to a first result. */

/** Milliseconds of each step. */
export interface FirstResult {
  /** What the adapter calls itself. */
  adapter: string;
  /** Until the library is imported. */
  import: number;
  /** Until a device is open. */
  open: number;
  /** Until a first attention of 8 heads over 16 tokens is read back: planned, its kernel compiled, run. */
  attend: number;
}

/** Imports the library, opens a GPU and attends, once. */
export async function firstResult(source?: GPU): Promise<FirstResult> {
  const start = performance.now();
  const { attend, Gpu } = await import("@onehead/attention");
  const imported = performance.now();
  const gpu = await Gpu.open({ gpu: source });
  const opened = performance.now();
  const ones = (heads: number) => {
    const shape = [1, 16, heads, 64];
    return { data: new Float32Array(16 * heads * 64).fill(1), shape };
  };
  await attend(gpu, { q: ones(8), k: ones(1), v: ones(1) });
  const attended = performance.now();
  const adapter = gpu.description.description;
  gpu.destroy();
  return {
    adapter,
    import: imported - start,
    open: opened - imported,
    attend: attended - opened,
  };
}
