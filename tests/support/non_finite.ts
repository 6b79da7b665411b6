/** Infinities and NaN in inputs, and how outputs are held against the formula in spite of them. */
import {
  type AttentionSpec,
  Gpu,
  type HostTensor,
  referenceAttention,
  type ReferenceOptions,
  referenceRow,
} from "../../mod.ts";
import { assertClose, MASKED, TOLERANCE } from "./compare.ts";
import type { Random } from "./random.ts";
import type { Inputs, Outputs } from "./run.ts";

export const NON_FINITE: readonly number[] = [NaN, Infinity, -Infinity];

/** The same with a few of its elements or rows replaced by some of the kinds; often with none. */
export function spoiled(
  random: Random,
  { data, shape }: HostTensor,
  kinds: readonly number[] = NON_FINITE,
): HostTensor & { data: Float32Array } {
  const copy = Float32Array.from(data);
  const size = shape.at(-1)!;
  for (let count = random.pick([0, 0, 1, 2, 3]); count > 0; count--) {
    const index = random.integer(0, copy.length - 1);
    const row = index - index % size;
    const [first, end] = random.next() < 0.3 ? [row, row + size] : [index, index + 1];
    copy.fill(random.pick(kinds), first, end);
  }
  return { data: copy, shape };
}

/** A device whose compiler assumes that there is no NaN, and the labels of the modules for which that makes a difference. */
export async function gpuWithoutNan(): Promise<{ gpu: Gpu; changed: Set<string> }> {
  const gpu = await Gpu.open();
  const { device } = gpu;
  const createShaderModule = device.createShaderModule.bind(device);
  const changed = new Set<string>();
  device.createShaderModule = ({ code: written, label = "", ...others }) => {
    const code = withoutNan(written);
    if (code !== written) changed.add(label);
    return createShaderModule({ ...others, label, code });
  };
  return { gpu, changed };
}

/** Code as a compiler may have it that assumes no NaN: comparisons with numbers are their converses' contraries. */
function withoutNan(code: string): string {
  const number = /(\d+\.\d+(?:e\d+)?|-?MASKED)\b/.source;
  return code.replace(
    new RegExp(`([\\w.]+(?:\\[\\w+\\])*) (<=|==|!=) ${number}`, "g"),
    (_, a, comparison, b) =>
      comparison === "<="
        ? `!(${a} > ${b})`
        : `${comparison === "==" ? "!" : ""}(${a} < ${b} || ${a} > ${b})`,
  );
}

/** Stands for NaN, which equals nothing; far from every number that is computed. */
const NOT_A_NUMBER = 12345;

/** As `assertClose`, but NaN is within NaN, and a score of minus infinity may be the lowest f32. */
export function assertAlike(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  const [a, b] = [actual, expected].map((numbers) =>
    Float64Array.from(numbers, (x) => Number.isNaN(x) ? NOT_A_NUMBER : x <= MASKED ? MASKED : x)
  );
  assertClose(a, b, tolerance, `${what} (NaN is ${NOT_A_NUMBER})`);
}

/** Holds what attention wrote against the reference on inputs [B, S, N, H] as they are stored. */
export function assertReference(
  actual: Outputs,
  stored: Inputs,
  spec: Partial<AttentionSpec>,
  what: string,
): void {
  const { bias: _, mask: __, ...given } = spec;
  const options = { ...given, layout: "BSNH" as const };
  const expected = referenceAttention(stored, options);
  const { dtype = "f32", arithmetic = "f32", scale = 1, softcap = 1 } = spec;
  const within = (arithmetic === "f16" ? 5e-3 : TOLERANCE.f32) *
    Math.max(1, Math.abs(scale), softcap / 10, largest(expected.scores) / 20);
  for (const name of ["scores", "weights", "lse"] as const) {
    if (actual[name]) assertAlike(actual[name], expected[name], within, `${name}, ${what}`);
  }
  const ofOutput = Math.max(within, TOLERANCE[dtype]) * largest(stored.v.data);
  assertAlike(actual.o, openOutput(stored, options, actual.o), ofOutput, `o, ${what}`);
}

/** The largest magnitude that is finite, or 1. */
export function largest(numbers: ArrayLike<number>): number {
  return Array.from(numbers).reduce((a, x) => Number.isFinite(x) ? Math.max(a, Math.abs(x)) : a, 1);
}

/** Weights from which on f32 has them for certain. */
const LEAST_WEIGHT = 1e-30;

/**
 * The reference's output [B, S, N, valueDim]. Where a value that is not finite has a weight of nothing, or nearly, the formula
 * leaves open whether it counts: the output with it, without it, or NaN, whichever `actual` is alike.
 */
function openOutput(
  inputs: Inputs,
  options: ReferenceOptions,
  actual: ArrayLike<number>,
): Float64Array {
  const [batch, seqLen, numHeads] = inputs.q.shape;
  const [, contextLen, numKvHeads, valueDim] = inputs.v.shape;
  const zeros = ({ data, shape }: HostTensor) => ({ data: new Float32Array(data.length), shape });
  const indifferent = { ...inputs, q: zeros(inputs.q), k: zeros(inputs.k) };
  const rows = Array.from({ length: batch * seqLen * numHeads }, (_, index) => {
    const head = index % numHeads;
    const token = Math.floor(index / numHeads) % seqLen;
    const row = { batch: Math.floor(index / (numHeads * seqLen)), head, token };
    const { weights, o } = referenceRow(inputs, row, options);
    const { scores } = referenceRow(indifferent, row, options);
    const seen = Array.from(scores.keys()).filter((key) => scores[key] !== -Infinity);
    const isOpen = (key: number) => weights[key] < LEAST_WEIGHT;
    const kvHead = Math.floor(head / (numHeads / numKvHeads));
    const valueAt = (key: number, h: number) =>
      inputs.v.data[((row.batch * contextLen + key) * numKvHeads + kvHead) * valueDim + h];
    return Array.from(o, (whole, h) => {
      if (seen.every((key) => !isOpen(key) || Number.isFinite(valueAt(key, h)))) return whole;
      const others = seen.filter((key) => !isOpen(key));
      const without = others.reduce((sum, key) => sum + weights[key] * valueAt(key, h), 0);
      const own = actual[index * valueDim + h];
      const isAlike = (x: number) => Number.isFinite(x) ? Number.isFinite(own) : Object.is(x, own);
      return [whole, without, NaN].find(isAlike) ?? whole;
    });
  });
  return Float64Array.from(rows.flat());
}
