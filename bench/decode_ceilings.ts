/** The rates of decoding at the two ends of its roofline, from which other shapes are predicted. */
import type { Dtype, Gpu, Implementation } from "../mod.ts";
import type { Case } from "./cases.ts";
import type { DecodeCeiling, Result, Shape } from "./result.ts";
import { type Measuring, runGroup } from "./run.ts";

/** As many heads as common models have. Alone, each waits for its bytes; all on one KV head, it waits for their arithmetic. */
const SHAPE = { batch: 1, numHeads: 32, headDim: 128, seqLen: 1, contextLen: 4096 };

/** The two ends, in an element type. */
export function endsOf(dtype: Dtype): Record<"mha" | "mqa", Shape> {
  return {
    mha: { ...SHAPE, dtype, numKvHeads: SHAPE.numHeads },
    mqa: { ...SHAPE, dtype, numKvHeads: 1 },
  };
}

/**
 * Measures one decode step of MHA and one of MQA: the bytes per second of the first and the operations per second of the
 * second. Plain streams and plain arithmetic are faster than both.
 *
 * @returns The ceilings; undefined if the device cannot decode so, for which the rows of a bench then give the reason.
 */
export async function measureDecode(
  gpu: Gpu,
  { impl, dtype }: { impl: Implementation; dtype: Dtype },
  measuring: Measuring,
): Promise<DecodeCeiling | undefined> {
  const common = { name: "roofline", phase: "decode", impl } as const;
  const ends = endsOf(dtype);
  const mha: Case = { ...common, variant: "mha", ...ends.mha };
  const mqa: Case = { ...common, variant: "mqa", ...ends.mqa };
  return ceilingOf(await runGroup(gpu, [mha, mqa], measuring));
}

/** The ceilings that rows of both ends come to; undefined if one of them failed. */
export function ceilingOf(rows: readonly Result[]): DecodeCeiling | undefined {
  if (rows.some(({ failure }) => failure !== undefined)) return undefined;
  const [mha, mqa] = (["mha", "mqa"] as const)
    .map((end) => rows.find(({ variant }) => variant === end)!);
  const { impl, dtype, gbPerSecond } = mha;
  return { impl, dtype, gbPerSecond, gflops: mqa.gflops };
}
