// Requests through real workers, and the simulation of a fleet with the step times that were measured meanwhile.
import { drawRequests, measureOverhead, type ServingReport } from "../../bench/mod.ts";
import { MeasuredTimes } from "../../cli/plan/fleet/measured_times.ts";
import { greatestOf, quantilesOf } from "../../cli/plan/fleet/quantiles.ts";
import { simulate } from "../../cli/plan/fleet/simulate.ts";
import { ClusterEngine } from "../../cli/shared/cluster/cluster_engine.ts";
import { natsOf } from "../../src/cluster/cluster.ts";
import { GREEDY } from "../../src/model/sampling.ts";
import { NatsServer } from "../support/nats.ts";
import { RunningCommand } from "../support/processes.ts";
import { BATCH, FLEET, MAX_QUEUE, MODEL, STEPS } from "./model.ts";

type StepTime = ServingReport["rows"][number]["stepTimes"][number];
type Requests = ReturnType<typeof drawRequests>;

/** What is asked of the fleet. */
export interface FleetCheckOptions {
  workers: number;
  /** Requests of each load. */
  requests: number;
  seed: number;
}

/** Figures of a load, in requests a second and milliseconds in the median. */
export interface LoadFigures {
  throughput: number;
  /** From a request to its first token. */
  firstMs: number;
  /** From a request to its last token. */
  lastMs: number;
}

/** A load as it was measured, and as it is simulated. */
export interface CheckedLoad {
  load: string;
  measured: LoadFigures;
  simulated: LoadFigures;
}

/** The loads, and the median of what a request that is alone takes beyond its steps. */
export interface CheckedFleet {
  overheadMs: number;
  loads: CheckedLoad[];
}

/** Mean tokens of prompts and answers, and the spread of both. */
const [PROMPT, ANSWER] = [{ mean: 32, spread: 0.5 }, { mean: 24, spread: 0.5 }];
/** The rate of requests that come at random, of what the fleet did when all came at once. */
const SHARE_OF_RATE = 0.7;

/** Sends both loads: all requests at once, and as many at random. */
export async function checkFleet(
  { workers, requests: count, seed }: FleetCheckOptions,
): Promise<CheckedFleet> {
  await using server = await NatsServer.start();
  await using running = new AsyncDisposableStack();
  const pages = new Set<number>();
  for (let i = 0; i < workers; i++) {
    const worker = running.use(await RunningCommand.start("tests/fleet/worker.ts", [server.url]));
    pages.add(Number(worker.line));
  }
  const [total] = pages;
  const cluster = { connection: (await server.join()).connection, prefix: FLEET };
  let times: StepTime[] = [];
  natsOf(cluster).subscribe(STEPS, {
    callback: (_, message) => void times.push(message.json<StepTime>()),
  });
  const { contextLen, vocabSize } = MODEL;
  const engine = await ClusterEngine.open(cluster, { fingerprint: FLEET, contextLen, vocabSize });
  const draw = (count: number, rate: number | null, seed: number) =>
    drawRequests({ count, rate, prompt: PROMPT, output: ANSWER, seed }, vocabSize);
  try {
    const overheadMs = await measureOverhead(draw(count, null, seed), async (request) => {
      times = [];
      const { lastMs: milliseconds } = await follow(engine, [request]);
      return { milliseconds, stepTimes: times };
    });
    const check = async (load: string, requests: Requests): Promise<CheckedLoad> => {
      times = [];
      const measured = await follow(engine, requests);
      await cluster.connection.flush();
      return {
        load,
        measured,
        simulated: simulateLoad(requests, { workers, total, times, overheadMs }),
      };
    };
    const burst = await check("at once", draw(count, null, seed + 1));
    const rate = SHARE_OF_RATE * burst.measured.throughput;
    return { overheadMs, loads: [burst, await check("at random", draw(count, rate, seed + 2))] };
  } finally {
    engine.destroy();
  }
}

/** Sends requests when they come, and reads their answers to the end. */
async function follow(engine: ClusterEngine, requests: Requests): Promise<LoadFigures> {
  const [first, last]: number[][] = [[], []];
  const start = performance.now();
  await Promise.all(requests.map(async ({ arrivalMs, prompt: tokens, newTokens: maxTokens }) => {
    if (arrivalMs > 0) await new Promise((resolve) => setTimeout(resolve, arrivalMs));
    const sent = performance.now();
    let isFirst = true;
    for await (const _ of engine.submit({ ...GREEDY, tokens, maxTokens, endTokens: [] })) {
      if (isFirst) first.push(performance.now() - sent);
      isFirst = false;
    }
    last.push(performance.now() - sent);
  }));
  return figuresOf(requests.length, performance.now() - start, first, last);
}

/** Simulates the same requests. */
function simulateLoad(
  requests: Requests,
  { workers, total, times, overheadMs }: {
    workers: number;
    total: number;
    times: readonly StepTime[];
    overheadMs: number;
  },
): LoadFigures {
  const { maxSequences: maxRunning, maxStepTokens, stepsPerRead, pageSize } = BATCH;
  const { requests: finished } = simulate(
    requests.map(({ arrivalMs, prompt, newTokens }) => ({
      ...{ at: arrivalMs / 1e3, prompt: prompt.length, answer: newTokens, mostAnswer: newTokens },
    })),
    {
      ...{ replicas: workers, maxQueue: MAX_QUEUE, maxRunning, maxStepTokens, stepsPerRead },
      ...{
        pages: { total, pageSize },
        times: new MeasuredTimes(times),
        overheadSeconds: overheadMs / 1e3,
      },
    },
  );
  const since = (of: (one: typeof finished[number]) => number) =>
    finished.map((one) => 1e3 * (of(one) - one.request.at));
  const end = greatestOf(finished.map(({ endAt }) => endAt));
  return figuresOf(
    ...[requests.length, 1e3 * end, since(({ firstAt }) => firstAt), since(({ endAt }) => endAt)],
  );
}

function figuresOf(
  count: number,
  milliseconds: number,
  first: readonly number[],
  last: readonly number[],
): LoadFigures {
  return {
    throughput: 1e3 * count / milliseconds,
    firstMs: quantilesOf(first).p50,
    lastMs: quantilesOf(last).p50,
  };
}
