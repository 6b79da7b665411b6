/** Rows of a table of quality as jobs of a queue. */
import { z } from "zod";
import { KV_DTYPES } from "../../../src/tensor/dtype.ts";
import { sentence } from "../../../src/base/check.ts";
import { type Cluster, JobQueue, MessageError } from "../../../src/cluster/mod.ts";
import { POOL_METHODS } from "../model_options.ts";
import type { Adapter, DrawSettings, MeasuredVariant, Measurer } from "../quality/measurer.ts";
import {
  type AdapterFeature,
  CACHE_TRANSFORMS,
  CHANGES,
  type Variant,
} from "../quality/variant.ts";
import { readMessage } from "./read_message.ts";

const ACTION = "measure quality";
/** Commands and workers of other versions do not meet. */
const QUALITY_VERSION = 2;
/** Most tokens that a worker draws to merge by. */
export const MOST_CALIBRATION = 2 ** 20;
/** The most characters that a negative log-likelihood has, with a comma: "1.2345678901234567e-100,". */
const NLL_BYTES = 24;
/** Bytes of a row beside its score, at most: the adapter, and what merging kept of each layer. */
const REST_BYTES = 2 ** 16;

const [count, index] = [z.int().min(1), z.int().min(0)];
const settings = z.strictObject({
  seed: z.int().min(0).max(2 ** 32 - 1),
  calibration: z.int().min(2).max(MOST_CALIBRATION),
});
const variant = z.strictObject({
  ...{ change: z.enum(CHANGES), kvDtype: z.enum(KV_DTYPES), numKvHeads: count },
  transform: z.enum(CACHE_TRANSFORMS).exclude(["none"]).optional(),
  ...{ window: count.optional(), sinks: index.optional() },
  pool: z.enum(POOL_METHODS).optional(),
});
const job = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("text"), tokens: z.int().min(2), settings }),
  z.strictObject({ kind: z.literal("row"), tokens: z.array(index).min(2), variant, settings }),
]);

const merge = z.array(z.strictObject({
  ...{ keys: z.number().optional(), values: z.number(), rounds: index, drift: z.number() },
  error: z.strictObject({ merged: z.number(), refitted: z.number() }),
}));
const adapter = z.strictObject({ description: z.string(), isSoftware: z.boolean() });
const measured = z.strictObject({
  score: z.strictObject({ nlls: z.array(z.number()), likeliest: z.array(index) }),
  ...{ cacheBytes: count, merge: merge.optional() },
});
const text = z.strictObject({ tokens: z.array(index).min(2) });
const row = z.strictObject({ adapter, measured });

/** What a worker is asked for: a text that the model draws, or what a variant predicts of one. */
export type QualityJob =
  | { kind: "text"; tokens: number; settings: DrawSettings }
  | { kind: "row"; tokens: readonly number[]; variant: Variant; settings: DrawSettings };

/** What a variant predicted, and where. */
export interface RemoteRow {
  adapter: Adapter;
  measured: MeasuredVariant;
}

/** Bytes of a row of a text, at most. */
export function rowBytes(tokens: number, vocabSize: number): number {
  return tokens * (NLL_BYTES + `${vocabSize - 1},`.length) + REST_BYTES;
}

/**
 * Opens the queue of a model's rows that every adapter can measure, or of those with a need: these have streams of their own, and
 * a service, so that who works on both queues is one worker in each.
 */
export function openQualityJobs(
  cluster: Cluster,
  fingerprint: string,
  need?: AdapterFeature,
): Promise<JobQueue> {
  const name = ["quality", ...(need ? [need] : [])].join("-");
  return JobQueue.open(cluster, { name, fingerprint: `${fingerprint}-${QUALITY_VERSION}` });
}

/**
 * Reads a job.
 *
 * @throws {MessageError} If a field is missing, unknown or out of range.
 */
export function readQualityJob(value: unknown): QualityJob {
  return readMessage("a job of quality", job, value);
}

/**
 * Does a job.
 *
 * @throws {RangeError} If its text is longer than the model's context, or has tokens that the model lacks.
 * @throws {Error} If its adapter refused it, as another one may not.
 */
export async function doQualityJob(
  job: QualityJob,
  measurer: Measurer,
  { contextLen, vocabSize }: { contextLen: number; vocabSize: number },
): Promise<unknown> {
  const tokens = job.kind === "text" ? job.tokens : job.tokens.length;
  if (tokens > contextLen) {
    const rule = "the text must fit the model's context";
    throw new RangeError(sentence(ACTION, rule, { tokens, contextLen }));
  }
  if (job.kind === "text") {
    return { tokens: await onAdapter(measurer, () => measurer.drawText(tokens)) };
  }
  const token = job.tokens.find((token) => token >= vocabSize);
  if (token !== undefined) {
    const rule = "tokens must be below the model's vocabSize";
    throw new RangeError(sentence(ACTION, rule, { token, vocabSize }));
  }
  const { adapter } = measurer;
  const { variant } = job;
  return {
    adapter,
    measured: await onAdapter(measurer, () => measurer.measure(variant, job.tokens)),
  };
}

/** Does what the limits of an adapter may refuse: another worker can be asked then, as for no job that all refuse. */
async function onAdapter<Result>(
  { adapter: { description } }: Pick<Measurer, "adapter">,
  perform: () => Promise<Result>,
): Promise<Result> {
  try {
    return await perform();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Error(`${description} refused: ${error.message}`, { cause: error });
  }
}

/**
 * Reads the text of that many tokens that a worker drew.
 *
 * @throws {MessageError} If it is something else.
 */
export function readText(value: unknown, length: number, vocabSize: number): number[] {
  const { tokens } = readMessage("a text", text, value);
  const token = tokens.find((token) => token >= vocabSize);
  if (tokens.length === length && token === undefined) return tokens;
  const rule = "it must have as many tokens as were asked for, of the vocabulary";
  const values = { length: tokens.length, asked: length, ...(token !== undefined && { token }) };
  throw new MessageError(sentence("read a text", rule, { ...values, vocabSize }));
}

/**
 * Reads what a worker says of a variant and a text of that many tokens.
 *
 * @throws {MessageError} If it is something else.
 */
export function readRow(value: unknown, tokens: number): RemoteRow {
  const remote = readMessage("a row", row, value);
  for (const [name, { length }] of Object.entries(remote.measured.score)) {
    if (length === tokens - 1) continue;
    const rule = "it must be of each token of the text but the first";
    throw new MessageError(sentence("read a row", rule, { tokens, [name]: length }));
  }
  return remote;
}
