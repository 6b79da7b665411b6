/** From a demand to fleets of MHA, GQA and MQA. Pure. */
import type { ServingReport } from "../../../bench/mod.ts";
import { type KvDtype, shardedContextFrom } from "../../../mod.ts";
import { sentence } from "../../../src/base/check.ts";
import { activationBytes } from "../../shared/preset.ts";
import type { PlanRequest } from "../plan.ts";
import { WEIGHT_BITS } from "../weights_time.ts";
import { type ModelVariant, variantsOf } from "../variants.ts";
import { attentionRates } from "../device.ts";
import { highestRate } from "./capacity.ts";
import type { FleetOptions } from "./gateway.ts";
import type { FleetDemand, FleetPlan, FleetVariant, SimulatedFleet } from "./fleet.ts";
import { ACTION, PAGE_SIZE, pagesOf } from "./memory.ts";
import { MeasuredTimes } from "./measured_times.ts";
import { greatestOf, quantilesOf } from "./quantiles.ts";
import { STEPS_PER_READ } from "./replica.ts";
import { drawRequests } from "./requests.ts";
import { RooflineTimes } from "./roofline_times.ts";
import { simulate } from "./simulate.ts";
import type { StepTimes } from "./step_times.ts";
import { gatewayBytes, shardBytes } from "./wire.ts";

/** Replicas that are simulated of a fleet of more: they stand for all. */
export const SIMULATED_REPLICAS = 4;
/** The share of requests that fill a replica, and are not measured. */
const WARM_UP = 0.25;
/** A queue that grows shows when requests come for so many times the time in which they are to be answered. */
const TARGETS = 10;
/** Sequences that wait at a worker, as of `deno run worker`. */
const MAX_QUEUE = 1;
/** The rates of a figure, around the one that is asked for. */
const RATES = [0.1, 0.2, 0.5, 1, 2, 5, 10];

/**
 * Plans fleets.
 *
 * @throws {RangeError} If the device's memory is not known, or does not hold the weights and the activations of a step, or a page.
 */
export function planFleet(request: PlanRequest, demand: FleetDemand): FleetPlan {
  const variants = variantsOf(request.model, request.kvHeads);
  return {
    demand,
    variants: request.dtypes.flatMap((dtype) =>
      variants.map((variant) => planVariant(variant, dtype, request, demand))
    ),
  };
}

function planVariant(
  { shape, ...variant }: ModelVariant,
  dtype: KvDtype,
  request: PlanRequest,
  demand: FleetDemand,
): FleetVariant {
  const { model, device } = request;
  const { target, price, prompt, answer, readMs } = demand;
  const memory = { shape, dtype, sequences: demand.sequences, ...memoryOf(request, demand) };
  const { shards, fitting, total } = pagesOf({ ...memory, longest: prompt.most + answer.most });
  const measured = measuredOf({ shape, ...variant }, { dtype, shards }, request);
  const times = measured ? new MeasuredTimes(measured.stepTimes) : new RooflineTimes({
    ...{ model, shape, device, dtype, weightBits: request.weightBits, shards },
    ...{ efficiency: demand.efficiency, readSeconds: readMs / 1e3 },
  });
  const overheadMs = demand.overheadMs ?? measured?.overheadMs ?? 0;
  // Shards hold one context at a time.
  const maxRunning = shards === 0 ? demand.sequences : 1;
  const options = {
    ...{ maxRunning, maxStepTokens: demand.stepTokens, stepsPerRead: STEPS_PER_READ },
    ...{ maxQueue: MAX_QUEUE, pages: { total, pageSize: PAGE_SIZE }, times },
    overheadSeconds: overheadMs / 1e3,
  };
  const run = (replicas: number, rate: number) => measure(demand, { ...options, replicas }, rate);
  const inTime = ({ firstSeconds, tokenMs }: SimulatedFleet) =>
    firstSeconds.p95 <= target.firstSeconds && tokenMs.p95 <= target.tokenMs;
  const guess = guessRate(demand, options);
  const most = (replicas: number) =>
    highestRate(guess, (rate) => inTime(run(replicas, replicas * rate)));
  const rates = { alone: most(1), shared: most(SIMULATED_REPLICAS) };
  const gpusOfOne = 1 + shards;
  const needed = (asked: number) => replicasFor(asked, rates);
  const gpusFor = (asked: number) => {
    const replicas = needed(asked);
    return replicas === null ? null : replicas * gpusOfOne;
  };
  const [replicas, gpus] = [needed(demand.rate), gpusFor(demand.rate)];
  const simulatedReplicas = Math.min(replicas ?? 0, SIMULATED_REPLICAS);
  const answerTokens = meanOf(answer);
  return {
    ...{ ...variant, dtype, shards, rates, overheadMs, replicas, gpus },
    cacheTokens: fitting * PAGE_SIZE,
    contexts: request.contextLens.map((contextLen) => ({
      contextLen,
      shards: pagesOf({ ...memory, longest: contextLen }).shards,
    })),
    simulated: replicas === null
      ? null
      : run(simulatedReplicas, demand.rate * simulatedReplicas / replicas),
    needs: RATES.map((factor) => demand.rate * factor)
      .map((rate) => ({ rate, gpus: gpusFor(rate) })),
    wireBytes: {
      gateway: gatewayBytes({
        ...{ prompt: Math.round(meanOf(prompt)), answer: Math.round(answerTokens) },
        ...{ perMessage: STEPS_PER_READ, vocabSize: model.vocabSize },
      }),
      shard: shardBytes(shape, dtype === "f32" ? 4 : 2),
    },
    shardsFrom: shardedContextFrom(
      shape,
      attentionRates(device),
      { shards: 2, readSeconds: readMs / 1e3 },
      { dtype },
    ),
    pricePerMillion: price === undefined || gpus === null
      ? null
      : gpus * price / (3600 * demand.rate * answerTokens) * 1e6,
  };
}

/** What a serving run measured of a variant; undefined where there is no such run. */
function measuredOf(
  { variant, shape }: ModelVariant,
  { dtype, shards }: { dtype: KvDtype; shards: number },
  { weightBits, stepTimes }: PlanRequest,
): ServingReport["rows"][number] | undefined {
  if (!stepTimes) return undefined;
  if (shards > 0) {
    const rule = "the longest request must fit beside the weights where step times are measured";
    throw new RangeError(sentence(ACTION, rule, { variant, shards }));
  }
  checkMeasured(stepTimes, { shape, weightBits });
  const { rows, kvDtype } = stepTimes;
  const { numKvHeads } = shape;
  const row = rows.find((row) => row.variant === variant && row.numKvHeads === numKvHeads);
  if (row && kvDtype === dtype) return row;
  const rule = "step times must be of its variants (leave others out by --kv-heads and --dtype)";
  const measured = rows.map(({ variant, numKvHeads }) => `${variant} ${numKvHeads} ${kvDtype}`);
  throw new RangeError(sentence(ACTION, rule, { variant, numKvHeads, dtype, measured }));
}

/** Throws unless steps were measured with layers, query heads and weights as those of the plan. */
function checkMeasured(
  { architecture, weightDtype }: Pick<ServingReport, "architecture" | "weightDtype">,
  { shape, weightBits }: { shape: ModelVariant["shape"]; weightBits: number },
): void {
  for (const name of ["numLayers", "numHeads", "headDim"] as const) {
    const [planned, measured] = [shape[name], architecture[name]];
    if (planned === measured) continue;
    const rule =
      "step times must be of its model (measure them with --layers, --heads and --head-dim)";
    throw new RangeError(sentence(ACTION, rule, { [name]: planned, measured }));
  }
  if (WEIGHT_BITS[weightDtype] === weightBits) return;
  const rule = "step times must be of its weights (plan with --weights, or measure others)";
  throw new RangeError(sentence(ACTION, rule, { weightBits, measured: weightDtype }));
}

/** Bytes of a GPU, and those that weights and activations leave. */
function memoryOf(
  { model, device: { name, memoryBytes }, weightBits }: PlanRequest,
  { stepTokens }: FleetDemand,
): { memoryBytes: number; freeBytes: number } {
  const weightBytes = model.parameters * weightBits / 8;
  if (memoryBytes === undefined) {
    const rule = "the device's memory must be known (give it as --memory SIZE)";
    throw new RangeError(sentence(ACTION, rule, { device: name }));
  }
  const stepBytes = stepTokens * activationBytes(model);
  const freeBytes = memoryBytes - weightBytes - stepBytes;
  if (freeBytes < 0) {
    const rule =
      "memory must hold the weights and the activations of a step (give more --memory, or fewer --step-tokens)";
    throw new RangeError(
      sentence(ACTION, rule, { memoryBytes, weightBytes, stepTokens, stepBytes }),
    );
  }
  return { memoryBytes, freeBytes };
}

/** Replicas for a rate, by what one keeps up with alone and behind a gateway; null where none keep up. */
function replicasFor(
  asked: number,
  { alone, shared }: { alone: number; shared: number },
): number | null {
  if (asked <= alone) return 1;
  const rate = Math.min(alone, shared);
  return rate === 0 ? null : Math.max(2, Math.ceil(asked / rate));
}

/** Simulates replicas that share a rate, and measures the requests after the first ones. */
function measure(demand: FleetDemand, options: FleetOptions, rate: number): SimulatedFleet {
  const least = Math.ceil(rate * TARGETS * demand.target.firstSeconds);
  const count = Math.max(demand.requests * options.replicas, least);
  const drawn = drawRequests({ ...demand, rate }, { count, seed: demand.seed });
  const { requests, replicas } = simulate(drawn, options);
  const measured = requests.slice(Math.floor(WARM_UP * count));
  const counts = (name: "steps" | "sequences" | "setBacks") =>
    replicas.reduce((sum, { counts }) => sum + counts[name], 0);
  return {
    ...{ replicas: options.replicas, requests: count },
    seconds: greatestOf(requests.map(({ endAt }) => endAt)) - drawn[0].at,
    firstSeconds: quantilesOf(measured.map(({ request, firstAt }) => firstAt - request.at)),
    tokenMs: quantilesOf(
      measured.map(({ request: { answer }, firstAt, endAt }) =>
        answer === 1 ? 0 : 1e3 * (endAt - firstAt) / (answer - 1)
      ),
    ),
    lastSeconds: quantilesOf(measured.map(({ request, endAt }) => endAt - request.at)),
    running: counts("sequences") / counts("steps"),
    setBacks: counts("setBacks") / count,
  };
}

/** The rate of a replica whose steps are full of sequences of mean length. */
function guessRate(
  { prompt, answer }: FleetDemand,
  { maxRunning, pages, times }: { maxRunning: number; pages: { total: number }; times: StepTimes },
): number {
  const length = meanOf(prompt) + meanOf(answer) / 2;
  const fitting = Math.floor(pages.total * PAGE_SIZE / length);
  const running = Math.max(1, Math.min(maxRunning, fitting));
  const step = times.stepSeconds(Array(running).fill({ first: Math.ceil(length) - 1, count: 1 }));
  return running / (meanOf(answer) * step + times.stepSeconds([{ first: 0, count: prompt.most }]));
}

function meanOf({ least, most }: { least: number; most: number }): number {
  return (least + most) / 2;
}
