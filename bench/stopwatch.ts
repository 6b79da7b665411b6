/** Timing GPU work, by the GPU's own clock where it has one. */
import type { Gpu } from "../mod.ts";
import { Owned } from "../src/gpu/owned.ts";
import { MAP_READ, USAGE } from "../src/gpu/usage.ts";

/** Something to time: encodes one call into a pass; `call` counts up, so that inputs can rotate. */
export type Call = (pass: GPUComputePassEncoder, call: number) => void;

/** Something to time by the wall clock: starts `calls` calls, and waits once until all of them are done. */
export type Work = (calls: number) => Promise<void>;

/** The length of a measurement. */
export interface Effort {
  /** Fewest and most rounds; each round times every call once. */
  minRounds: number;
  maxRounds: number;
  /** Time to spend on all rounds together. */
  budgetMs: number;
}

/** Shortest stretch of work that is timed at once: clocks are coarse, and waiting takes some runtimes 10 ms. */
const MIN_SAMPLE_MS = { timestamps: 1, wall: 150 };
const MAX_CALLS_PER_SAMPLE = { timestamps: 512, wall: 2048 };
/** Queries that one set may hold, by the WebGPU standard. */
const MAX_QUERIES = 4096;

/**
 * Times several calls in turns, so that what slows the machine for a while slows all of them alike.
 *
 * @returns Milliseconds per call, [call][round].
 */
export async function timeInTurns(
  gpu: Gpu,
  calls: readonly Call[],
  effort: Effort,
): Promise<number[][]> {
  if (!gpu.features.timestamps) {
    return await timeWorkInTurns(calls.map((call) => workOf(gpu, call)), effort);
  }
  // The first run pays for what drivers put off, the second shows how long a call takes.
  await timeByTimestamps(gpu, calls.map((call) => ({ call, repeats: 1 })), 1);
  const [estimates] = transpose(
    await timeByTimestamps(gpu, calls.map((call) => ({ call, repeats: 1 })), 1),
  );
  const samples = calls.map((call, i) => {
    const least = MIN_SAMPLE_MS.timestamps;
    const repeats = Math.ceil(least / Math.max(estimates[i], least / 1e3));
    return { call, repeats: Math.min(repeats, MAX_CALLS_PER_SAMPLE.timestamps) };
  });
  const roundMs = samples.reduce((sum, { repeats }, i) => sum + repeats * estimates[i], 0);
  return await timeByTimestamps(gpu, samples, roundsOf(roundMs, effort));
}

/**
 * Times works of any kind in turns by the wall clock, each for enough calls at once to make the wait at their end, which
 * counts, a small share.
 *
 * @returns Milliseconds per call, [work][round].
 */
export async function timeWorkInTurns(
  works: readonly Work[],
  effort: Effort,
): Promise<number[][]> {
  const samples: { work: Work; calls: number; ms: number }[] = [];
  for (const work of works) samples.push({ work, ...await sampleOf(work) });
  const rounds = roundsOf(samples.reduce((sum, { ms }) => sum + ms, 0), effort);
  const times: number[][] = works.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { work, calls }] of samples.entries()) {
      times[i].push(await wallTime(work, calls) / calls);
    }
  }
  return times;
}

/** As many calls of a work as make the wait at their end a small share, and the milliseconds that they take in all. */
export async function sampleOf(work: Work): Promise<{ calls: number; ms: number }> {
  await work(1);
  let calls = 1;
  let ms = await wallTime(work, calls);
  while (ms < MIN_SAMPLE_MS.wall && calls < MAX_CALLS_PER_SAMPLE.wall) {
    const missing = Math.ceil(calls * MIN_SAMPLE_MS.wall / ms);
    calls = Math.min(Math.max(2 * calls, missing), MAX_CALLS_PER_SAMPLE.wall);
    ms = await wallTime(work, calls);
  }
  return { calls, ms };
}

/** Calls that are submitted together, as work. */
export function workOf(gpu: Gpu, call: Call): Work {
  let count = 0;
  return async (calls) => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < calls; i++) call(pass, count++);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled();
  };
}

/** Milliseconds that calls of a work take in all. */
export async function wallTime(work: Work, calls: number): Promise<number> {
  const start = performance.now();
  await work(calls);
  return performance.now() - start;
}

/** As many rounds as the budget allows, within bounds. */
export function roundsOf(roundMs: number, { minRounds, maxRounds, budgetMs }: Effort): number {
  return Math.min(maxRounds, Math.max(minRounds, Math.floor(budgetMs / roundMs)));
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
  return await Owned.use(async (owned) => {
    const querySet = owned.keep(device.createQuerySet({ type: "timestamp", count }));
    const size = count * 8;
    const resolveUsage = USAGE.queryResolve | USAGE.copySrc;
    const resolved = owned.keep(device.createBuffer({ size, usage: resolveUsage }));
    const stagingUsage = USAGE.mapRead | USAGE.copyDst;
    const staging = owned.keep(device.createBuffer({ size, usage: stagingUsage }));
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
    await gpu.waitFor(staging.mapAsync(MAP_READ));
    const stamps = new BigUint64Array(staging.getMappedRange());
    return timesOf(stamps, samples.map(({ repeats }) => repeats));
  });
}

/**
 * Milliseconds per call, [sample][round], from a beginning and an end in nanoseconds of each sample of each round, whose
 * calls are repeated.
 */
export function timesOf(
  stamps: ArrayLike<bigint>,
  repeats: readonly number[],
): number[][] {
  const rounds = stamps.length / 2 / repeats.length;
  return repeats.map((calls, sample) =>
    Array.from({ length: rounds }, (_, round) => {
      const at = 2 * (round * repeats.length + sample);
      return Number(stamps[at + 1] - stamps[at]) / 1e6 / calls;
    })
  );
}

function transpose(rows: readonly number[][]): number[][] {
  return rows[0].map((_, column) => rows.map((row) => row[column]));
}
