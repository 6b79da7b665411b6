/** The gradients of everything around attention in float64: the textbook formulas, as oracles for the kernels. */
import type { LinearActivation } from "../layer/linear.ts";
import type { RopeOptions } from "../cache/rope.ts";
import type { NormOptions } from "../layer/norm.ts";
import { activations, activationSlopes } from "./activations.ts";
import { ropedRow } from "./rope.ts";

type Numbers = ArrayLike<number>;

/** The gradients of `y = x w^T + b` by x [tokens, in], w [out, in] and b [out]: `dx = dy w`, `dw = dy^T x`, `db = sum dy`. */
export function linearGradient(
  { x, w, dy }: Record<"x" | "w" | "dy", Numbers>,
  [outputs, inputs]: readonly [number, number],
): Record<"dx" | "dw" | "db", Float64Array> {
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(outputs * inputs);
  const db = new Float64Array(outputs);
  for (let i = 0; i < dy.length; i++) {
    const [token, row] = [Math.floor(i / outputs), i % outputs];
    db[row] += dy[i];
    for (let j = 0; j < inputs; j++) {
      dx[token * inputs + j] += dy[i] * w[row * inputs + j];
      dw[row * inputs + j] += dy[i] * x[token * inputs + j];
    }
  }
  return { dx, dw, db };
}

/** Options of {@linkcode normForward} and {@linkcode normGradient}. */
type NormKind = Pick<NormOptions, "kind" | "eps">;

/** The elements of a row without their mean (for LayerNorm) and scaled to unit size, and what they are scaled by. */
function unitRow(row: Float64Array, { kind, eps }: NormKind) {
  const meanOf = (values: Float64Array) =>
    values.reduce((sum, value) => sum + value, 0) / row.length;
  const mean = kind === "layer" ? meanOf(row) : 0;
  const centred = row.map((value) => value - mean);
  const rstd = 1 / Math.sqrt(meanOf(centred.map((value) => value * value)) + eps);
  return { unit: centred.map((value) => value * rstd), rstd, meanOf };
}

/** `(x - mean) rstd gain + bias` of each row of x, RMSNorm's mean being 0. */
export function normForward(
  { x, gain, bias }: { x: Float64Array; gain: Numbers; bias?: Numbers },
  kind: NormKind,
): Float64Array {
  const width = gain.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    const { unit } = unitRow(x.subarray(start, start + width), kind);
    y.set(unit.map((value, i) => value * gain[i] + (bias?.[i] ?? 0)), start);
  }
  return y;
}

/**
 * The gradients of a norm by x, gain and bias: with n the unit row and `g = dy gain`,
 * `dx = rstd (g - mean(g) - n mean(g n))`, `dGain = sum dy n`, `dBias = sum dy`; RMSNorm has no `mean(g)`.
 */
export function normGradient(
  { x, gain, dy }: { x: Float64Array; gain: Numbers; dy: Numbers },
  kind: NormKind,
): Record<"dx" | "dGain" | "dBias", Float64Array> {
  const width = gain.length;
  const dx = new Float64Array(x.length);
  const dGain = new Float64Array(width);
  const dBias = new Float64Array(width);
  for (let start = 0; start < x.length; start += width) {
    const { unit, rstd, meanOf } = unitRow(x.subarray(start, start + width), kind);
    const g = unit.map((_, i) => dy[start + i] * gain[i]);
    const throughMean = kind.kind === "layer" ? meanOf(g) : 0;
    const throughScale = meanOf(g.map((value, i) => value * unit[i]));
    dx.set(g.map((value, i) => rstd * (value - throughMean - unit[i] * throughScale)), start);
    unit.forEach((value, i) => {
      dGain[i] += dy[start + i] * value;
      dBias[i] += dy[start + i];
    });
  }
  return { dx, dGain, dBias };
}

/** The gradient of a rotated row by the row: a rotation is transposed by turning back. */
export function ropeGradient(dy: Numbers, position: number, options: RopeOptions): number[] {
  return ropedRow(dy, -position, options);
}

/** `dw[v] = scale sum dy[t]` over the tokens t that are v. */
export function embeddingGradient(
  { tokens, dy }: { tokens: Numbers; dy: Numbers },
  { vocabSize, dim, scale = 1 }: { vocabSize: number; dim: number; scale?: number },
): Float64Array {
  const dw = new Float64Array(vocabSize * dim);
  for (let i = 0; i < dy.length; i++) {
    dw[tokens[Math.floor(i / dim)] * dim + i % dim] += scale * dy[i];
  }
  return dw;
}

/** `activation(gate) up`, or `activation(up)` where there is no gate. */
export function insideForward(
  { gate, up }: { gate: Float64Array; up: Float64Array },
  { kind, isGated }: LinearActivation,
): Float64Array {
  const activate = activations[kind];
  return up.map((value, i) => isGated ? activate(gate[i]) * value : activate(value));
}

/** The gradients of {@linkcode insideForward} by gate and up; that by a gate that is not there is zero. */
export function insideGradient(
  { gate, up, dy }: { gate: Float64Array; up: Float64Array; dy: Numbers },
  { kind, isGated }: LinearActivation,
): Record<"dGate" | "dUp", Float64Array> {
  const [activate, slope] = [activations[kind], activationSlopes[kind]];
  return {
    dGate: gate.map((value, i) => isGated ? dy[i] * up[i] * slope(value) : 0),
    dUp: up.map((value, i) => dy[i] * (isGated ? activate(gate[i]) : slope(value))),
  };
}
