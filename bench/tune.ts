/** Searches tile and slice settings on the present adapter, by coordinate descent: one size at a time, the best is kept. */
import { DeviceLostError, type Gpu, planAttention, type Tiling, type Tuning } from "../mod.ts";
import { tilingOf } from "../src/plan/tiling.ts";
import type { Case } from "./cases.ts";
import type { Out } from "../cli/shared/run.ts";
import { CaseInputs } from "./inputs.ts";
import { geometricMean, speedup } from "./statistics.ts";
import { type Effort, timeInTurns } from "./stopwatch.ts";
import { specOf, Subject } from "./subject.ts";
import { maxAbsError, TOLERANCE } from "./verify.ts";

/** The values to try, size by size; the time of compiling decides `maxPairs`, not speed. */
const VALUES: Readonly<Record<Exclude<keyof Tiling, "maxPairs">, readonly number[]>> = {
  fillingWorkgroups: [4, 8, 16, 32, 128, 512, 2048],
  keys: [1, 2, 4, 8, 16],
  maxRows: [2, 4, 8, 16],
  lanes: [8, 16, 32, 64],
  workgroup: [8, 32, 64, 128, 256],
  maxRowGroups: [1, 2, 4],
  sharers: [0, 4, 8, 16],
  partners: [1, 2, 4, 8, 16],
  keyChunk: [0, 2, 4, 8],
  columns: [1, 2, 4, 8],
};
/** Sums that an invocation keeps in registers: more would leave them, and take long to compile. */
const MOST_SUMS = 64;
/** The least gain that is not taken for noise. */
const LEAST_GAIN = 1.03;
/** From here on there are rows enough to fill every tile. */
const MOST_ROWS = 128;

/** The length and the thoroughness of a search. */
export interface TuneEffort extends Effort {
  /** Shapes to measure for each number of rows. */
  shapes: number;
  /** When to stop searching; what was not tried stays as it was. */
  totalMs: number;
}

/** The best tiling that was found for a number of rows. */
export interface Tuned {
  leastRows: number;
  /** The cases that were measured. */
  cases: readonly Case[];
  tiling: Tiling;
  /** Time with the defaults of the device's class over the time with `tiling`. */
  gain: number;
}

/** The sizes that are searched. */
const NAMES = Object.keys(VALUES) as (keyof typeof VALUES)[];

/** Cases by their rows of a KV head, in powers of two: the largest contexts first, as many as are to be measured. */
export function casesByRows(cases: readonly Case[], shapes: number): Map<number, Case[]> {
  const byRows = Map.groupBy(cases, (case_) => {
    const rows = case_.numHeads / case_.numKvHeads * case_.seqLen;
    return Math.min(MOST_ROWS, 2 ** Math.floor(Math.log2(rows)));
  });
  const sorted = [...byRows].sort(([a], [b]) => a - b);
  return new Map(sorted.map(([rows, cases]) => [rows, spread(cases, shapes)]));
}

/** So many of the items, evenly from the first to the last. */
function spread<Item>(items: readonly Item[], count: number): Item[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor(i * items.length / count)]);
}

/** Searches each number of rows by itself, and shows the progress. */
export async function tune(
  gpu: Gpu,
  byRows: ReadonlyMap<number, readonly Case[]>,
  effort: TuneEffort,
  out: Pick<Out, "progress">,
): Promise<Tuned[]> {
  const end = performance.now() + effort.totalMs;
  using progress = out.progress(byRows.size * NAMES.length);
  const found: Tuned[] = [];
  for (const [leastRows, cases] of byRows) {
    const inputs: CaseInputs[] = [];
    try {
      for (const case_ of cases) inputs.push(await CaseInputs.create(gpu, case_));
      const standard = tilingOf(gpu.profile, leastRows);
      let best = standard;
      for (const name of NAMES) {
        progress.step(`${leastRows} rows of a KV head: ${name}`);
        if (performance.now() > end) continue;
        best = await bestOf(inputs, best, name, effort);
      }
      const [gain] = await meanGains(inputs, standard, [best], effort);
      const isBetter = gain >= LEAST_GAIN;
      found.push({
        ...{ leastRows, cases },
        tiling: isBetter ? best : standard,
        gain: isBetter ? gain : 1,
      });
    } finally {
      for (const one of inputs) one.destroy();
    }
  }
  return found;
}

/** The JSON that the library takes. */
export function tuningOf(gpu: Gpu, tuned: readonly Tuned[]): Tuning {
  const tilings = tuned.map(({ leastRows, tiling }) => ({ leastRows, ...tiling }));
  return { schema: 3, adapter: gpu.description.description, tilings };
}

/** The best value of one size: the fastest in turns with the best so far, if it is faster a second time too. */
async function bestOf(
  inputs: readonly CaseInputs[],
  best: Tiling,
  name: keyof typeof VALUES,
  effort: Effort,
): Promise<Tiling> {
  const tilings = VALUES[name]
    .filter((value) => value !== best[name])
    .map((value) => ({ ...best, [name]: value }))
    .filter(({ maxRows, keys }) => maxRows * keys <= MOST_SUMS);
  const gains = await meanGains(inputs, best, tilings, effort);
  const most = Math.max(...gains);
  if (most < LEAST_GAIN) return best;
  // The fastest of many may be the luckiest.
  const winner = tilings[gains.indexOf(most)];
  const [again] = await meanGains(inputs, best, [winner], effort);
  return again < LEAST_GAIN ? best : winner;
}

/** The gain of each tiling over another, in the geometric mean over shapes. */
async function meanGains(
  inputs: readonly CaseInputs[],
  base: Tiling,
  tilings: readonly Tiling[],
  effort: Effort,
): Promise<number[]> {
  const perShape: number[][] = [];
  for (const one of inputs) perShape.push(await gainsOf(one, base, tilings, effort));
  return tilings.map((_, i) => geometricMean(perShape.map((gains) => gains[i])));
}

/** The gain of each tiling over another: 1 if its plan is the same, 0 if it fails. */
async function gainsOf(
  inputs: CaseInputs,
  base: Tiling,
  tilings: readonly Tiling[],
  effort: Effort,
): Promise<number[]> {
  const { gpu, case: case_ } = inputs;
  const current = await Subject.create(case_, inputs, only(base));
  const runs: { index: number; subject: Subject }[] = [];
  const gains = tilings.map(() => 0);
  try {
    const seen = new Set([planOf(gpu, case_, base)]);
    for (const [index, tiling] of tilings.entries()) {
      const plan = planOf(gpu, case_, tiling);
      if (plan === undefined) continue;
      if (seen.has(plan)) {
        gains[index] = 1;
        continue;
      }
      seen.add(plan);
      const candidate = await verified(inputs, tiling);
      if (candidate) runs.push({ index, subject: candidate });
    }
    if (runs.length === 0) return gains;
    const calls = [current, ...runs.map(({ subject }) => subject)].map((run) =>
      run.encode.bind(run)
    );
    const [own, ...others] = await timeInTurns(gpu, calls, effort);
    others.forEach((times, i) => {
      gains[runs[i].index] = speedup(times, own);
    });
    return gains;
  } finally {
    current.destroy();
    for (const { subject } of runs) subject.destroy();
  }
}

/** A subject whose output is right; undefined if the device refuses it. */
async function verified(inputs: CaseInputs, tiling: Tiling): Promise<Subject | undefined> {
  let candidate: Subject | undefined;
  try {
    candidate = await Subject.create(inputs.case, inputs, only(tiling));
    const error = await maxAbsError(inputs.gpu, candidate);
    if (error <= TOLERANCE[candidate.case.dtype]) return candidate;
    console.error(`Left out, as its output is wrong by ${error}: ${JSON.stringify(tiling)}`);
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    console.error(`Left out: ${(error as Error).message}`);
  }
  candidate?.destroy();
}

/** A tuning of one tiling for everything. */
function only(tiling: Tiling): Tuning {
  return { schema: 3, adapter: "", tilings: [{ leastRows: 1, ...tiling }] };
}

/** The plan as text, by which plans are compared; undefined if no tile fits. */
function planOf(gpu: Gpu, case_: Case, tiling: Tiling): string | undefined {
  try {
    const spec = { ...specOf(case_), tuning: only(tiling) };
    return JSON.stringify({ ...planAttention(spec, gpu.device.limits, gpu.profile), spec: null });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
