/** Timing GPU work, by the GPU's own clock where it has one. */
import type { Gpu } from "../mod.ts";

/** Something to time: encodes one call into a pass; `call` counts up, so that inputs can rotate. */
export type Call = (pass: GPUComputePassEncoder, call: number) => void;

/** How long to measure. */
export interface Effort {
  /** Fewest and most rounds; each round times every call once. */
  minRounds: number;
  maxRounds: number;
  /** Time to spend on all rounds together. */
  budgetMs: number;
}

/** Shortest stretch of work that is timed at once: clocks are coarse. */
const MIN_SAMPLE_MS = { timestamps: 1, wall: 150 };
const MAX_CALLS_PER_SAMPLE = 512;
/** Queries that one set may hold, by the WebGPU standard. */
const MAX_QUERIES = 4096;
const USAGE = { queryResolve: 0x200, copySrc: 0x04, copyDst: 0x08, mapRead: 0x01 };

/**
 * Times several calls in turns, so that what slows the machine for a while slows all of them alike.
 *
 * @returns Milliseconds per call, [call][round].
 */
export async function timeInTurns(
  gpu: Gpu,
  calls: readonly Call[],
  { minRounds, maxRounds, budgetMs }: Effort,
): Promise<number[][]> {
  const timeOnce = gpu.features.timestamps ? timeByTimestamps : timeByWallClock;
  const minSampleMs = MIN_SAMPLE_MS[gpu.features.timestamps ? "timestamps" : "wall"];
  // The first run pays for what drivers put off, the second shows how long a call takes.
  await timeOnce(gpu, calls.map((call) => ({ call, repeats: 1 })), 1);
  const [estimates] = transpose(
    await timeOnce(gpu, calls.map((call) => ({ call, repeats: 1 })), 1),
  );
  const samples = calls.map((call, i) => {
    const repeats = Math.ceil(minSampleMs / Math.max(estimates[i], minSampleMs / 1e3));
    return { call, repeats: Math.min(repeats, MAX_CALLS_PER_SAMPLE) };
  });
  const roundMs = samples.reduce((sum, { repeats }, i) => sum + repeats * estimates[i], 0);
  const affordable = Math.floor(budgetMs / roundMs);
  const rounds = Math.min(maxRounds, Math.max(minRounds, affordable));
  return await timeOnce(gpu, samples, rounds);
}

interface Sample {
  call: Call;
  repeats: number;
}

async function timeByTimestamps(
  gpu: Gpu,
  samples: readonly Sample[],
  rounds: number,
): Promise<number[][]> {
  const { device } = gpu;
  const count = 2 * samples.length * Math.min(rounds, Math.floor(MAX_QUERIES / 2 / samples.length));
  const querySet = device.createQuerySet({ type: "timestamp", count });
  const size = count * 8;
  const resolved = device.createBuffer({ size, usage: USAGE.queryResolve | USAGE.copySrc });
  const staging = device.createBuffer({ size, usage: USAGE.mapRead | USAGE.copyDst });
  try {
    let query = 0;
    for (let round = 0; query < count; round++) {
      const encoder = device.createCommandEncoder();
      for (const { call, repeats } of samples) {
        const pass = encoder.beginComputePass({
          timestampWrites: {
            querySet,
            beginningOfPassWriteIndex: query++,
            endOfPassWriteIndex: query++,
          },
        });
        for (let i = 0; i < repeats; i++) call(pass, round * repeats + i);
        pass.end();
      }
      device.queue.submit([encoder.finish()]);
    }
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await gpu.waitFor(staging.mapAsync(1));
    const stamps = new BigUint64Array(staging.getMappedRange());
    return samples.map(({ repeats }, i) =>
      Array.from({ length: count / 2 / samples.length }, (_, round) => {
        const at = 2 * (round * samples.length + i);
        return Number(stamps[at + 1] - stamps[at]) / 1e6 / repeats;
      })
    );
  } finally {
    staging.destroy();
    resolved.destroy();
    querySet.destroy();
  }
}

async function timeByWallClock(
  gpu: Gpu,
  samples: readonly Sample[],
  rounds: number,
): Promise<number[][]> {
  const times: number[][] = samples.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { call, repeats }] of samples.entries()) {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let n = 0; n < repeats; n++) call(pass, round * repeats + n);
      pass.end();
      const start = performance.now();
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.settled();
      times[i].push((performance.now() - start) / repeats);
    }
  }
  return times;
}

function transpose(rows: readonly number[][]): number[][] {
  return rows[0].map((_, column) => rows.map((row) => row[column]));
}
