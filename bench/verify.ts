/** Checking a row of the bench before it is timed. */
import { type Dtype, type Gpu, referenceRow } from "../mod.ts";
import type { Case } from "./cases.ts";
import { randomElements } from "./random.ts";
import { SEEDS, type Subject } from "./subject.ts";

/** Largest error that inputs in [-1, 1] leave room for. */
export const TOLERANCE: Readonly<Record<Dtype, number>> = { f32: 2e-5, f16: 5e-3 };

/** Query rows that are computed again in float64. */
const SAMPLED_ROWS = 6;

/**
 * Runs one call and compares sampled query rows with the float64 reference; every element must be finite.
 *
 * @returns The largest difference, or NaN where an element is not a finite number.
 */
export async function maxAbsError(gpu: Gpu, subject: Subject): Promise<number> {
  const { numHeads, headDim, seqLen } = subject.case;
  await gpu.guard("verify a case", () => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    subject.encode(pass, 0);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
  });
  const o = await subject.o.download();
  if (!o.every(Number.isFinite)) return NaN;
  let error = 0;
  for (const { batch, head, token } of sampledRows(subject.case)) {
    const expected = expectedRow(subject.case, batch, head, token);
    const first = ((batch * seqLen + token) * numHeads + head) * headDim;
    expected.forEach((value, h) => error = Math.max(error, Math.abs(value - o[first + h])));
  }
  return error;
}

/** The first and the last row, and others evenly between them. */
function sampledRows({ batch, numHeads, seqLen }: Case) {
  const rows = batch * numHeads * seqLen;
  const count = Math.min(rows, SAMPLED_ROWS);
  return Array.from({ length: count }, (_, i) => {
    const row = count === 1 ? 0 : Math.round(i * (rows - 1) / (count - 1));
    return {
      batch: Math.floor(row / (numHeads * seqLen)),
      head: Math.floor(row / seqLen) % numHeads,
      token: row % seqLen,
    };
  });
}

/** The output of one query row, as attention of one token over the keys that it sees. */
function expectedRow(
  { numHeads, numKvHeads, headDim, seqLen, contextLen, dtype }: Case,
  batch: number,
  head: number,
  token: number,
): Float64Array {
  const kvHead = Math.floor(head / (numHeads / numKvHeads));
  const visible = contextLen - seqLen + token + 1;
  const qFirst = ((batch * seqLen + token) * numHeads + head) * headDim;
  const kvFirst = (batch * numKvHeads + kvHead) * contextLen * headDim;
  const elements = (name: "q" | "k" | "v", first: number, tokens: number) => ({
    data: randomElements(first, tokens * headDim, { dtype, seed: SEEDS[name] }),
    shape: [1, tokens, 1, headDim],
  });
  const inputs = {
    q: elements("q", qFirst, 1),
    k: elements("k", kvFirst, visible),
    v: elements("v", kvFirst, visible),
  };
  return referenceRow(inputs, { batch: 0, head: 0, token: 0 }).o;
}
