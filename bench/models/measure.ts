/** Systems that run the same model: each in its own process, verified, then timed in turns. */
import type { Progress } from "../../cli/shared/progress.ts";
import { ReferenceDecoder } from "../../src/model/mod.ts";
import type { Request } from "./message.ts";
import { type ModelChoice, titleOf, withModel } from "./model.ts";
import { FailureError, ModelProcess } from "./model_process.ts";
import { figuresOf, type KernelRound, type Round } from "./figures.ts";
import type { ModelResult } from "./result.ts";
import { onehead } from "./onehead.ts";
import type { ModelSystem, Sequences } from "./system.ts";
import { faultOf } from "./verify.ts";

/** What all systems do in each round. */
export interface ModelWork {
  /** Sequences that are continued together. */
  sequences: number;
  promptTokens: number;
  newTokens: number;
  rounds: number;
}

/** A process that can be asked. */
export type Contestant = Pick<ModelProcess, "ready" | "ask" | "end">;

/** Starts the process of a system with a model. */
export type Start = (
  system: ModelSystem,
  model: ModelChoice,
  sequences: Sequences,
) => Promise<Contestant>;

export const startProcess: Start = ({ name }, model, sequences) =>
  ModelProcess.start({ system: name, model, ...sequences });

/** A system that is timed, and its rounds. */
interface Contender {
  row: ModelResult;
  contestant: Contestant;
  rounds: Round[];
  /** null where no kernel can be timed. */
  kernelRounds: KernelRound[] | null;
}

/** Most rounds in which kernels are timed. */
const KERNEL_ROUNDS = 5;

/** Steps of progress of one call. */
export function stepsOf({ rounds }: ModelWork, systems: number): number {
  return 1 + systems + rounds + 1;
}

/**
 * Runs a model on all systems: the prompts of a round are the same for all, and new in each round, so that nobody finds what
 * it computed before.
 *
 * @returns A row for each system.
 */
export async function measureModel(
  model: ModelChoice,
  systems: readonly ModelSystem[],
  work: ModelWork,
  { progress, start = startProcess }: { progress: Pick<Progress, "step">; start?: Start },
): Promise<ModelResult[]> {
  const { sequences, promptTokens, newTokens } = work;
  const title = titleOf(model);
  const step = (what: string) => progress.step(`${title}, ${sequences} at once: ${what}`);
  step("reference");
  const reference = await withModel(
    model,
    ({ spec, weights }) => ReferenceDecoder.create(spec, weights),
  );
  const prompts = () => randomPrompts(work, reference.spec.vocabSize);
  const rows: ModelResult[] = [];
  const contenders: Contender[] = [];
  try {
    const verified = prompts();
    for (const system of systems) {
      step(system.name);
      const row: ModelResult = {
        ...{ model: title, system: system.name, sequences, promptTokens, newTokens },
        verdict: "right",
      };
      rows.push(row);
      const sizes = { sequences, maxTokens: promptTokens + newTokens };
      try {
        const contestant = await start(system, model, sizes);
        contenders.push({ row, contestant, rounds: [], kernelRounds: [] });
        const { tokens } = await contestant.ask({ prompts: verified, tokens: newTokens });
        checkTokens(row, reference, verified, tokens);
      } catch (error) {
        fail(row, error);
      }
    }
    const requests = () => [
      { prompts: prompts(), tokens: 1 },
      { prompts: prompts(), tokens: newTokens },
    ];
    for (let round = 1; round <= work.rounds; round++) {
      step(`round ${round}`);
      const [first, all] = requests();
      for (const contender of contenders) await timeRound(contender, first, all);
    }
    step("kernels");
    for (let round = 0; round < Math.min(work.rounds, KERNEL_ROUNDS); round++) {
      const [first, all] = requests();
      for (const contender of contenders) await timeKernels(contender, first, all);
    }
    fillIn(contenders);
    return rows;
  } finally {
    for (const { contestant } of contenders) await contestant.end();
  }
}

/** Token ids that are drawn anew. */
function randomPrompts({ sequences, promptTokens }: ModelWork, vocabSize: number): number[][] {
  const draw = () => Math.floor(Math.random() * vocabSize);
  return Array.from(
    { length: sequences },
    () => Array.from({ length: promptTokens }, draw),
  );
}

/** The first and the last sequence are held against the reference; the number of tokens is that of all. */
function checkTokens(
  row: ModelResult,
  reference: ReferenceDecoder,
  prompts: readonly (readonly number[])[],
  tokens: readonly (readonly number[])[],
): void {
  const { sequences, newTokens } = row;
  const isWhole = tokens.length === sequences && tokens.every(({ length }) => length === newTokens);
  const faults = isWhole
    ? [...new Set([0, sequences - 1])].map((i) => faultOf(reference, prompts[i], tokens[i]))
    : ["tokens are missing"];
  const fault = faults.find((fault) => fault !== undefined);
  if (fault !== undefined) Object.assign(row, { verdict: "wrong", message: fault });
}

/** Gives a row what its system said; errors of the bench itself go on. */
function fail(row: ModelResult, error: unknown): void {
  if (!(error instanceof FailureError)) throw error;
  Object.assign(row, { verdict: error.verdict, message: error.message });
}

async function timeRound(
  { row, contestant, rounds }: Contender,
  first: Request,
  all: Request,
): Promise<void> {
  if (row.verdict !== "right") return;
  try {
    const one = await contestant.ask(first);
    const many = await contestant.ask(all);
    rounds.push({
      ...{ firstMs: one.milliseconds, allMs: many.milliseconds },
      ...{ firstWork: one.work, allWork: many.work, residentBytes: many.residentBytes },
    });
  } catch (error) {
    fail(row, error);
  }
}

/** A round in which each kernel is timed, of systems that have any: one that fails here keeps its other figures. */
async function timeKernels(contender: Contender, first: Request, all: Request): Promise<void> {
  const { row, contestant, rounds, kernelRounds } = contender;
  if (row.verdict !== "right" || !kernelRounds) return;
  const kernelsOf = async (request: Request) =>
    (await contestant.ask({ ...request, timesKernels: true })).kernels;
  try {
    const hasKernels = rounds.some(({ firstWork }) => firstWork.dispatches > 0);
    const one = hasKernels ? await kernelsOf(first) : null;
    const many = one && await kernelsOf(all);
    if (one && many) kernelRounds.push({ first: one, all: many });
    else contender.kernelRounds = null;
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
    contender.kernelRounds = null;
  }
}

/** Fills in the figures of all that are right. */
function fillIn(contenders: readonly Contender[]): void {
  const right = contenders.filter(({ row }) => row.verdict === "right");
  const ours = right.find(({ row }) => row.system === onehead.name)?.rounds;
  for (const { row, contestant, rounds, kernelRounds } of right) {
    row.figures = figuresOf(row, contestant.ready, rounds, { ours, kernelRounds });
  }
}
