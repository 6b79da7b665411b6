/** Projections that are verified and timed in turns. */
import { type Gpu, type KvDtype, Tensor } from "../../mod.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { Linear } from "../../src/layer/linear.ts";
import { WeightMatrix } from "../../src/layer/weight_matrix.ts";
import type { Roofline, Times } from "../result.ts";
import { summaryOf } from "../statistics.ts";
import { type Effort, timeInTurns } from "../stopwatch.ts";

/** A projection of `tokens` rows of `inputs` elements to `outputs`. */
export interface LinearCase {
  tokens: number;
  inputs: number;
  outputs: number;
  /** Element type of the weights. */
  dtype: KvDtype;
}

/** One measured projection. */
export interface LinearResult extends LinearCase, Times {
  /** Bytes of weights, x and y, over the median time. */
  gbPerSecond: number;
  /** Two operations for each product, over the median time. */
  gflops: number;
  /** `gbPerSecond` over the rate of a copy. */
  copyShare: number;
  /** `gflops` over the rate of multiply-adds. */
  fmaShare: number;
  /** Largest difference from float64 over the sum of the magnitudes of its products; null where it is not a number. */
  maxRelativeError: number | null;
  /** The reason why the row is wrong; such a row has no trustworthy times. */
  failure?: string;
}

/** Sums of f32 products in any order are nearer than this, relative to the sum of their magnitudes. */
const TOLERANCE = 1e-6;
/** Outputs that are computed again in float64. */
const SAMPLES = 40;

/** Times all cases in turns, the ones that are wrong left out. */
export async function measureLinear(
  gpu: Gpu,
  cases: readonly LinearCase[],
  { effort, roofline }: { effort: Effort; roofline: Roofline },
): Promise<LinearResult[]> {
  return await Owned.use(async (owned) => {
    const subjects: Subject[] = [];
    for (const one of cases) subjects.push(await Subject.create(gpu, owned, one));
    const right = subjects.filter(({ error }) => error <= TOLERANCE);
    const times = await timeInTurns(gpu, right.map(({ call }) => call), effort);
    return subjects.map((subject) => {
      const index = right.indexOf(subject);
      return index < 0 ? failed(subject) : resultOf(subject, summaryOf(times[index]), roofline);
    });
  });
}

/** The figures of a row from its times. */
export function resultOf(
  { linearCase, bytes, error }: Pick<Subject, "linearCase" | "bytes" | "error">,
  times: Times,
  { copyGBps, fmaGFlops }: Pick<Roofline, "copyGBps" | "fmaGFlops">,
): LinearResult {
  const { tokens, inputs, outputs } = linearCase;
  const gbPerSecond = bytes / times.medianMs / 1e6;
  const gflops = 2 * tokens * inputs * outputs / times.medianMs / 1e6;
  return {
    ...linearCase,
    ...times,
    gbPerSecond,
    gflops,
    copyShare: gbPerSecond / copyGBps,
    fmaShare: gflops / fmaGFlops,
    maxRelativeError: error,
  };
}

function failed({ linearCase, error }: Subject): LinearResult {
  const none = { medianMs: NaN, minMs: NaN, p90Ms: NaN, samples: 0 };
  return {
    ...resultOf({ linearCase, bytes: NaN, error }, none, { copyGBps: 1, fmaGFlops: 1 }),
    maxRelativeError: Number.isFinite(error) ? error : null,
    failure: `off by ${error} of the magnitudes of its products: at most ${TOLERANCE} is expected`,
  };
}

/** A projection with its tensors, verified. */
class Subject {
  readonly linearCase: LinearCase;
  /** Bytes that must move at least once. */
  readonly bytes: number;
  readonly error: number;
  readonly call: (pass: GPUComputePassEncoder) => void;

  private constructor(
    made: Pick<Subject, "linearCase" | "bytes" | "error" | "call">,
  ) {
    this.linearCase = made.linearCase;
    this.bytes = made.bytes;
    this.error = made.error;
    this.call = made.call;
  }

  static async create(gpu: Gpu, owned: Owned, linearCase: LinearCase): Promise<Subject> {
    const { tokens, inputs, outputs, dtype } = linearCase;
    const random = (count: number) =>
      Float32Array.from({ length: count }, () => 2 * Math.random() - 1);
    const xs = random(tokens * inputs);
    const weights = { data: random(outputs * inputs), shape: [outputs, inputs] };
    const w = owned.keep(await WeightMatrix.upload(gpu, weights, { dtype, label: "weights" }));
    const x = owned.keep(await Tensor.upload(gpu, { data: xs, shape: [tokens, inputs] }));
    const y = owned.keep(await Tensor.empty(gpu, [tokens, outputs]));
    const linear = owned.keep(new Linear(gpu, "bench", { w }));
    const work = await linear.bind({ x: x.buffer, y: y.buffer }, tokens);
    await gpu.guard("verify a projection", () => {
      const encoder = gpu.device.createCommandEncoder();
      work.encode(encoder);
      gpu.device.queue.submit([encoder.finish()]);
    });
    const stored = await Promise.all(w.bands.map((band) => band.w.download()));
    const error = errorOf(linearCase, xs, joined(stored), await y.download());
    const bytes = linear.bytes + x.bytes + y.bytes;
    return new Subject({ linearCase, bytes, error, call: (pass) => work.encode(pass) });
  }
}

function joined(bands: readonly Float32Array[]): Float32Array {
  if (bands.length === 1) return bands[0];
  const all = new Float32Array(bands.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const band of bands) {
    all.set(band, at);
    at += band.length;
  }
  return all;
}

/** The largest error of outputs that are drawn, in float64 over the weights as they are stored; NaN where one is no number. */
export function errorOf(
  { tokens, inputs, outputs }: LinearCase,
  x: Float32Array,
  w: Float32Array,
  y: Float32Array,
): number {
  if (y.length !== tokens * outputs || !y.every(Number.isFinite)) return NaN;
  let error = 0;
  for (let i = 0; i < SAMPLES; i++) {
    const at = i === 0 ? y.length - 1 : Math.floor(Math.random() * y.length);
    const [token, row] = [Math.floor(at / outputs), at % outputs];
    let [sum, magnitude] = [0, 0];
    for (let j = 0; j < inputs; j++) {
      const product = x[token * inputs + j] * w[row * inputs + j];
      sum += product;
      magnitude += Math.abs(product);
    }
    error = Math.max(error, Math.abs(sum - y[at]) / (magnitude || 1));
  }
  return error;
}
