/** What runs inside a runtime: the time from the import of the library to a first result, and of a readback. */
import { median } from "../../bench/statistics.ts";

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
  /** Of one of many readbacks of a few numbers, once all is warm. */
  readback: number;
}

/** Readbacks that the median is taken of. */
const READBACKS = 31;

/** Imports the library, opens a GPU and attends, once. */
export async function firstResult(source?: GPU): Promise<FirstResult> {
  const start = performance.now();
  const { attend, Gpu, Tensor } = await import("@onehead/attention");
  const imported = performance.now();
  const gpu = await Gpu.open({ gpu: source });
  const opened = performance.now();
  const ones = (heads: number) => {
    const shape = [1, 16, heads, 64];
    return { data: new Float32Array(16 * heads * 64).fill(1), shape };
  };
  await attend(gpu, { q: ones(8), k: ones(1), v: ones(1) });
  const attended = performance.now();
  const tensor = await Tensor.empty(gpu, [4096]);
  const readbacks: number[] = [];
  for (let i = 0; i < READBACKS; i++) {
    const before = performance.now();
    await tensor.download();
    readbacks.push(performance.now() - before);
  }
  const adapter = gpu.description.description;
  gpu.destroy();
  return {
    adapter,
    import: imported - start,
    open: opened - imported,
    attend: attended - opened,
    readback: median(readbacks),
  };
}
