/** Reading what `deno run bench serving --json` writes. */
import { z } from "zod";
import { KV_DTYPES } from "../../src/tensor/dtype.ts";
import type { ServingReport } from "./result.ts";

const count = z.int().min(1).max(2 ** 31);
const rate = z.number().positive();
const length = z.object({ mean: count, spread: z.number().min(0).max(4) });
/** What a simulation of the run needs of it. */
const report = z.looseObject({
  schema: z.literal(1),
  adapter: z.looseObject({ description: z.string(), isSoftware: z.boolean() }),
  architecture: z.looseObject({
    ...{ vocabSize: count, numLayers: count, numHeads: count, headDim: count },
  }),
  // Reports from before that was an option have none.
  weightDtype: z.enum(KV_DTYPES).default("f32"),
  kvDtype: z.enum(KV_DTYPES),
  pageSize: count,
  stepTokens: count,
  requests: z.object({
    count: count.max(2 ** 20),
    rate: rate.nullable(),
    prompt: length,
    output: length,
    seed: z.int().min(0),
  }),
  rows: z.array(z.looseObject({
    variant: z.enum(["mha", "gqa", "mqa"]),
    numKvHeads: count,
    maxSequences: count,
    pages: count,
    setBacks: z.int().min(0),
    seconds: rate,
    requestsPerSecond: rate,
    firstTokenMs: z.looseObject({ p50: z.number().min(0) }),
    overheadMs: z.number().min(0).optional(),
    stepTimes: z.array(z.object({
      steps: count,
      tokens: rate,
      sequences: rate,
      meanContext: rate,
      ms: rate,
    })).min(1),
  })).min(1),
});

/** Whether a text is of a serving run, not of another bench. */
export function isServing(text: string): boolean {
  return text.includes('"stepTimes"');
}

/**
 * Reads the report of a serving run.
 *
 * @throws {TypeError} If the text is no JSON, or lacks what a simulation needs; the message names it.
 */
export function parseServing(text: string, name: string): ServingReport {
  const cure = "(write the file with: deno run bench serving --json FILE)";
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TypeError(`Cannot read ${name} as it is no JSON ${cure}`, { cause });
  }
  const { success, data, error } = report.safeParse(json);
  if (success) return data as unknown as ServingReport;
  const [{ path, message }] = error.issues;
  throw new TypeError(`Cannot read ${name} as "${path.join(".")}" is wrong ${cure}: ${message}`);
}
