/** From a group of cases to rows of ours and of every peer: prepare, verify, time in turns by the wall clock. */
import { inputsOf } from "../asked.ts";
import type { Gpu } from "../../mod.ts";
import type { Case, CaseGroup } from "../cases.ts";
import type { Progress } from "../../cli/shared/progress.ts";
import type { PeerResult } from "../result.ts";
import { speedup, summaryOf } from "../statistics.ts";
import { type Effort, timeWorkInTurns, type Work } from "../stopwatch.ts";
import { attempt, failureOf, messageOf } from "./attempt.ts";
import { onehead } from "./onehead.ts";
import type { Peer, Prepared } from "./peer.ts";

/** A system that is timed, and its row. */
interface Contender {
  row: PeerResult;
  prepared: Prepared;
}

/** Steps of progress of a group: one for each row, and one for timing. */
export function stepsOf(group: CaseGroup, peers: number): number {
  return group.length + new Set(group.map(({ variant }) => variant)).size * peers + 1;
}

/**
 * Measures ours and the peers at the shapes of a group: over the same inputs, in the same rounds. The wait at the end of a
 * sample counts for all of them alike; samples are long enough to make it small.
 *
 * @returns For each variant the rows of ours, then those of the peers.
 */
export async function compareGroup(
  gpu: Gpu,
  group: CaseGroup,
  peers: readonly Peer[],
  { effort, progress }: { effort: Effort; progress: Pick<Progress, "step"> },
): Promise<PeerResult[]> {
  const { name, phase, contextLen } = group[0];
  const step = (what: string) => progress.step(`${name} ${phase} ${contextLen} ${what}`);
  const rows: PeerResult[] = [];
  const contenders: Contender[] = [];
  try {
    for (const cases of Map.groupBy(group, ({ variant }) => variant).values()) {
      const [{ impl: _, ...case_ }] = cases;
      const inputs = inputsOf(case_);
      for (const peer of [...cases.map(({ impl }) => onehead(gpu, impl)), ...peers]) {
        step(`${case_.variant}: ${peer.name}`);
        const row = emptyRow(case_, peer.name);
        rows.push(row);
        const result = await attempt(peer, case_, inputs);
        if ("error" in result && Number.isFinite(result.error)) row.maxAbsError = result.error;
        row.failure = failureOf(result);
        if (result.verdict === "right") contenders.push({ row, prepared: result.prepared });
      }
    }
    step("in turns");
    const times = await timeWorkInTurns(contenders.map(workOf), effort);
    fillInPeers(contenders.map(({ row }) => row), times, group[0].impl);
    return rows;
  } finally {
    for (const { prepared } of contenders) await prepared.destroy();
  }
}

/** The work that is timed: none once it has failed. */
function workOf({ row, prepared }: Contender): Work {
  return async (calls) => {
    if (row.failure !== undefined) return;
    try {
      await prepared.run(calls);
    } catch (error) {
      row.failure = messageOf(error);
    }
  };
}

function emptyRow({ name, ...shape }: Omit<Case, "impl">, impl: string): PeerResult {
  const noTimes = { medianMs: 0, minMs: 0, p90Ms: 0, samples: 0 };
  return { case: name, ...shape, impl, ...noTimes, maxAbsError: null, timesOurs: null };
}

/**
 * Fills in what was measured in turns: times per call [row][round]. Each row is held against `ours` in the same variant,
 * where that is right.
 */
export function fillInPeers(
  rows: readonly PeerResult[],
  times: readonly (readonly number[])[],
  ours: string,
): void {
  rows.forEach((row, i) => {
    if (row.failure !== undefined) return;
    Object.assign(row, summaryOf(times[i]));
    const own = rows.findIndex(({ impl, variant, failure }) =>
      impl === ours && variant === row.variant && failure === undefined
    );
    if (own >= 0) row.timesOurs = speedup(times[own], times[i]);
  });
}
