/** Requests that go through a batch, and what their readers see. */
import { type Gpu, kvCacheBytes, type KvDtype } from "../../mod.ts";
import { variantOf } from "../../cli/shared/variant.ts";
import { Batch, type BatchSteps } from "../../src/model/mod.ts";
import { randomWeights } from "../../src/model/random_weights.ts";
import type { DecoderSpec } from "../../src/model/spec.ts";
import { quantile } from "../statistics.ts";
import { measureOverhead } from "./overhead.ts";
import { meanHeldTokens, predictSequences } from "./predict.ts";
import type { ServingRequest } from "./requests.ts";
import type { Moment, Percentiles, ServingRow, StepTime } from "./result.ts";

/** The sizes of a batch, but for its KV heads. */
export interface ServingSizes {
  budgetBytes: number;
  kvDtype: KvDtype;
  pageSize: number;
  stepTokens: number;
  /** Most sequences that run together. The default is twice as many as are predicted. */
  maxSequences?: number;
}

/** A model of random weights. */
export interface ServedModel {
  spec: DecoderSpec;
  weightDtype: KvDtype;
}

/** Serves all requests by a batch of its own, after others of the same lengths that are not measured. */
export async function measureServing(
  gpu: Gpu,
  { spec, weightDtype }: ServedModel,
  requests: readonly ServingRequest[],
  sizes: ServingSizes,
): Promise<ServingRow> {
  const { budgetBytes, kvDtype, pageSize, stepTokens } = sizes;
  const { numHeads, numKvHeads, headDim, vocabSize } = spec;
  const shape = { numLayers: spec.layers.length, numKvHeads, headDim };
  const held = meanHeldTokens(requests, pageSize);
  const predictedSequences = predictSequences(shape, held, sizes);
  const fitting = Math.min(stepTokens, requests.length, 2 * predictedSequences);
  const maxSequences = sizes.maxSequences ?? Math.max(1, fitting);
  let onSteps = (_: BatchSteps) => {};
  const batch = await Batch.create(gpu, spec, randomWeights(spec), {
    ...{ maxTokens: spec.contextLen, maxStepTokens: stepTokens, weightDtype },
    maxSequences,
    ...{ cacheBytes: budgetBytes, kvDtype, pageSize, onSteps: (steps) => onSteps(steps) },
  });
  try {
    await follow(batch, requests.slice(0, Math.ceil(requests.length / 4)).map(otherPrompt));
    const before = batch.stats;
    const start = performance.now();
    const [moments, stepTimes]: [Moment[], StepTime[]] = [[], []];
    onSteps = ({ steps, milliseconds }) => {
      const time = stepTimeOf(steps, milliseconds);
      const { waiting, pages, setBacks } = batch.stats;
      stepTimes.push(time);
      moments.push({
        ...{ ms: performance.now() - start, sequences: time.sequences, waiting },
        ...{ pages: pages.total - pages.available, setBacks: setBacks - before.setBacks },
      });
    };
    const { firstTokens, betweenTokens } = await follow(batch, requests);
    const seconds = (performance.now() - start) / 1000;
    const { generated, setBacks, pages } = batch.stats;
    const overheadMs = await measureOverhead(requests, async (request) => {
      const alone: StepTime[] = [];
      onSteps = ({ steps, milliseconds }) => alone.push(stepTimeOf(steps, milliseconds));
      const { firstTokens: [milliseconds] } = await follow(batch, [request]);
      return { milliseconds, stepTimes: alone };
    });
    return {
      ...{ variant: variantOf(numHeads, numKvHeads), numKvHeads },
      bytesPerToken: kvCacheBytes(shape, { contextLen: 1, dtype: kvDtype }),
      ...{ maxSequences, pages: pages.total, predictedSequences },
      sequences: sequencesWhileShort(moments, stepTimes),
      setBacks: setBacks - before.setBacks,
      ...{ seconds, requestsPerSecond: requests.length / seconds },
      tokensPerSecond: (generated - before.generated) / seconds,
      firstTokenMs: percentilesOf(firstTokens),
      betweenTokensMs: percentilesOf(betweenTokens),
      ...{ overheadMs, moments, stepTimes },
    };
  } finally {
    batch.destroy();
  }

  /** The request with a prompt that begins in another way, so that nothing is known of it. */
  function otherPrompt({ prompt, ...request }: ServingRequest): ServingRequest {
    return { ...request, prompt: prompt.map((token) => (token + 1) % vocabSize) };
  }
}

/**
 * Adds requests when they come, and reads them to their ends: the times that their readers see, in milliseconds. One that comes
 * while the thread is blocked, as by a read in Deno, is added late: its time begins when it came.
 */
async function follow(
  batch: Batch,
  requests: readonly ServingRequest[],
): Promise<{ firstTokens: number[]; betweenTokens: number[] }> {
  const [firstTokens, betweenTokens]: number[][] = [[], []];
  const start = performance.now();
  await Promise.all(requests.map(async ({ arrivalMs, prompt, newTokens }) => {
    if (arrivalMs > 0) await new Promise((resolve) => setTimeout(resolve, arrivalMs));
    let last: number | undefined;
    for await (const tokens of batch.add({ tokens: prompt, maxTokens: newTokens })) {
      const now = performance.now();
      if (last === undefined) firstTokens.push(now - start - arrivalMs);
      else betweenTokens.push(...sharedWait(now - last, tokens.length));
      last = now;
    }
  }));
  return { firstTokens, betweenTokens };
}

/** The wait for each of some tokens that come together. */
export function sharedWait(milliseconds: number, tokens: number): number[] {
  return new Array(tokens).fill(milliseconds / tokens);
}

/** The mean of the steps between two waits. */
export function stepTimeOf(steps: BatchSteps["steps"], milliseconds: number): StepTime {
  const mean = (of: (step: BatchSteps["steps"][number]) => number) =>
    steps.reduce((sum, step) => sum + of(step), 0) / steps.length;
  return {
    steps: steps.length,
    tokens: mean(({ tokens }) => tokens),
    sequences: mean(({ sequences }) => sequences),
    meanContext: mean(({ meanContext }) => meanContext),
    ms: milliseconds / steps.length,
  };
}

/**
 * Sequences in a step while pages are short: from the first set-back to the last moment at which a request waits. Before, the
 * batch fills; behind, it runs out of requests.
 */
export function sequencesWhileShort(
  moments: readonly Pick<Moment, "setBacks" | "waiting" | "sequences">[],
  times: readonly Pick<StepTime, "steps">[],
): number | null {
  const first = moments.findIndex(({ setBacks }) => setBacks > 0);
  const last = moments.findLastIndex(({ waiting }) => waiting > 0);
  if (first < 0 || last < first) return null;
  let [sequences, steps] = [0, 0];
  for (let i = first; i <= last; i++) {
    sequences += moments[i].sequences * times[i].steps;
    steps += times[i].steps;
  }
  return sequences / steps;
}

/** Zeros where there are no times, as between the tokens of requests for one. */
function percentilesOf(times: readonly number[]): Percentiles {
  if (times.length === 0) return { p50: 0, p99: 0 };
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}
