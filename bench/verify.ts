/** Checking a row of the bench before it is timed. */
import {
  type Dtype,
  type Gpu,
  type HostTensor,
  type KvDtype,
  referenceRow,
  type ScoreAt,
} from "../mod.ts";
import { dequantize, isQuantized, quantize } from "../src/tensor/quantized.ts";
import { type Asked, elementsOf, firstOfRows, type Inputs, OWN_SCORE } from "./asked.ts";
import type { Subject } from "./subject.ts";

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
  await gpu.guard("verify a case", () => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    subject.encode(pass, 0);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
  });
  return errorOf(subject.case, await subject.o.download());
}

/**
 * Compares sampled rows of an output [batch, seqLen, numHeads, valueDim] with the float64 reference over the inputs of
 * these seeds.
 *
 * @returns The largest difference, or NaN where an element is missing or not a finite number.
 */
export function errorOf(asked: Asked, o: ArrayLike<number>): number {
  const { batch, numHeads, headDim, valueDim = headDim, seqLen } = asked;
  const count = batch * seqLen * numHeads * valueDim;
  if (o.length !== count || !Array.prototype.every.call(o, Number.isFinite)) return NaN;
  let error = 0;
  for (const { batch, head, token } of sampledRows(asked)) {
    const expected = expectedRow(asked, batch, head, token);
    const first = ((batch * seqLen + token) * numHeads + head) * valueDim;
    expected.forEach((value, h) => error = Math.max(error, Math.abs(value - o[first + h])));
  }
  return error;
}

/** The first and the last row, and others evenly between them. */
function sampledRows({ batch, numHeads, seqLen }: Asked) {
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
function expectedRow(asked: Asked, batch: number, head: number, token: number): Float64Array {
  const { numHeads, numKvHeads, headDim, seqLen, contextLen, dtype, sinkLogits } = asked;
  const { valueDim = headDim, valuesAre, kvDtype = dtype } = asked;
  const kvHead = Math.floor(head / (numHeads / numKvHeads));
  const length = asked.contextLens?.[batch] ?? contextLen;
  const visible = length - seqLen + token + 1;
  const qFirst = ((batch * seqLen + token) * numHeads + head) * headDim;
  const kvFirst = (batch * numKvHeads + kvHead) * contextLen;
  const biasFirst = (head * seqLen + token) * contextLen;
  const elements = (name: keyof Inputs, first: number, shape: number[]) => ({
    data: elementsOf(asked, name, first, shape.reduce((a, b) => a * b)),
    shape,
  });
  const stored = (...given: Parameters<typeof elements>) => inStorage(elements(...given), kvDtype);
  const k = stored("k", kvFirst * headDim, [1, visible, 1, headDim]);
  const inputs = {
    q: elements("q", qFirst, [1, 1, 1, headDim]),
    k,
    v: valuesAre === "keys"
      ? { data: firstOfRows(k.data, headDim, valueDim), shape: [1, visible, 1, valueDim] }
      : stored("v", kvFirst * valueDim, [1, visible, 1, valueDim]),
    ...(asked.hasBias && { bias: elements("bias", biasFirst, [1, 1, 1, visible]) }),
    ...(asked.hasOwnScore && {
      scoreMod: (score: number, at: ScoreAt) => score * OWN_SCORE.factor(at.query, at.key),
    }),
  };
  return referenceRow(inputs, { batch: 0, head: 0, token: 0 }, {
    window: asked.window,
    softcap: asked.softcap,
    ...(sinkLogits && { sinkLogits: [sinkLogits[head]] }),
  }).o;
}

/** The numbers that a tensor holds in an element type. */
function inStorage({ data, shape }: HostTensor, dtype: KvDtype): HostTensor {
  const size = shape.at(-1)!;
  if (isQuantized(dtype)) {
    return { data: dequantize(quantize(data, size, dtype), size, dtype), shape };
  }
  return dtype === "f32"
    ? { data, shape }
    : { data: Float32Array.from(data, Math.f16round), shape };
}
