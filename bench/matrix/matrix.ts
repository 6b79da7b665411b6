/** Trying features of attention on systems: each cell is computed and held against the float64 reference. */
import { type Asked, inputsOf } from "../asked.ts";
import type { Progress } from "../../cli/shared/progress.ts";
import { attemptGradient } from "../gradient/attempt.ts";
import type { GradientCase } from "../gradient/system.ts";
import { type Attempt, attempt } from "../peers/attempt.ts";
import type { Peer } from "../peers/peer.ts";
import type { Feature } from "./features.ts";
import { withSubgroups } from "./subgroups.ts";

/** The result of a feature on a system. */
export interface Cell {
  feature: string;
  system: string;
  verdict: Attempt["verdict"];
  /** Largest difference from the reference; null where it is not a number, or there is no output. */
  error: number | null;
  /** The message of the system. */
  message?: string;
  /** The page of the system that says what it has, where that is not among it. */
  source?: string;
  /** The case that decided, where not all are right. */
  asked?: Asked | GradientCase;
}

/** Tries every feature on every system. */
export async function tryFeatures(
  features: readonly Feature[],
  systems: readonly Peer[],
  progress: Pick<Progress, "step">,
): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const feature of features) {
    for (const system of systems) {
      progress.step(`${feature.name}: ${system.name}`);
      const work = () => tryFeature(feature, system);
      cells.push(await (feature.withSubgroups ? withSubgroups(work) : work()));
    }
  }
  return cells;
}

/** The first case that is not right decides; one that is wrong goes before those that are refused. */
async function tryFeature(
  { name, cases, gradients = [] }: Feature,
  system: Peer,
): Promise<Cell> {
  const cell: Cell = { feature: name, system: system.name, verdict: "right", error: null };
  const attempts = [
    ...cases.map((asked) => ({ asked, start: () => attempt(system, asked, inputsOf(asked)) })),
    ...gradients.map((asked) => ({ asked, start: () => attemptGradient(system, asked) })),
  ];
  for (const { asked, start } of attempts) {
    const result = await start();
    if (result.verdict === "right") {
      await result.prepared.destroy();
      if (cell.verdict === "right") cell.error = Math.max(cell.error ?? 0, result.error);
    } else if (result.verdict === "wrong") {
      const error = Number.isFinite(result.error) ? result.error : null;
      return { feature: name, system: system.name, verdict: "wrong", error, asked };
    } else if (cell.verdict === "right") {
      Object.assign(cell, { ...result, error: null, asked });
    }
  }
  return cell;
}
