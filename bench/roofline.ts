/** The rates of the adapter on plain streams and plain arithmetic: the ceiling of every figure. */
import { type Gpu, Tensor } from "../mod.ts";
import { join } from "../src/gpu/compose.ts";
import { Kernel } from "../src/gpu/kernel.ts";
import * as wgsl from "./kernels/mod.ts";
import { randomTensor } from "./random.ts";
import type { Roofline } from "./result.ts";
import { median } from "./statistics.ts";
import { type Call, type Effort, timeInTurns } from "./stopwatch.ts";

const WORKGROUP = 256;
const STREAM_BYTES = { software: 128 * 2 ** 20, gpu: 512 * 2 ** 20 };
/** Elements of vec4f that an invocation streams: a few beside its neighbours', or a long run of its own. */
const PER_INVOCATION = { neighbours: 16, runs: 256 };
const FMA = { steps: 32, rounds: 16, chains: 2, lanes: 4 };

/** Measures copy bandwidth, read bandwidth and the rate of f32 multiply-adds, each in the form that the adapter likes best. */
export async function measureRoofline(gpu: Gpu, effort: Effort): Promise<Roofline> {
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = gpu.device.limits;
  const wanted = STREAM_BYTES[gpu.description.isSoftware ? "software" : "gpu"];
  // One size for all streams: whole workgroups of the longest runs, and no more workgroups of the shortest than fit a grid.
  const unit = WORKGROUP * PER_INVOCATION.runs * 16;
  const most = WORKGROUP * PER_INVOCATION.neighbours * 16 * maxComputeWorkgroupsPerDimension;
  const bytes = Math.floor(Math.min(wanted, maxStorageBufferBindingSize, most) / unit) * unit;
  const invocations = bytes / 16 / PER_INVOCATION.neighbours;
  const source = await randomTensor(gpu, [bytes / 4], { dtype: "f32", seed: 1 });
  const target = await Tensor.empty(gpu, [bytes / 4]);

  const stream = async (code: string, output: string, side: keyof typeof PER_INVOCATION) => {
    const perInvocation = PER_INVOCATION[side];
    const count = bytes / 16 / perInvocation;
    const steps = side === "neighbours"
      ? { INVOCATION_STEP: 1, STEP: count }
      : { INVOCATION_STEP: perInvocation, STEP: 1 };
    const constants = { PER_INVOCATION: perInvocation, ...steps };
    return await prepare(gpu, code, constants, { source, [output]: target }, count / WORKGROUP);
  };
  const calls = await Promise.all([
    stream(wgsl.copy, "target_", "neighbours"),
    stream(wgsl.copy, "target_", "runs"),
    stream(wgsl.read, "sums", "neighbours"),
    stream(wgsl.read, "sums", "runs"),
    prepare(
      gpu,
      wgsl.fma,
      { STEPS: FMA.steps, ROUNDS: FMA.rounds },
      { seeds: source, sums: target },
      invocations / WORKGROUP,
    ),
  ]);
  try {
    const [copyA, copyB, readA, readB, fma] = await timeInTurns(gpu, calls, effort);
    return ratesOf({ bytes, fmaInvocations: invocations }, {
      copies: [copyA, copyB],
      reads: [readA, readB],
      fma,
    });
  } finally {
    source.destroy();
    target.destroy();
  }
}

/** Times per call in milliseconds, [form][round]; multiply-adds have one form. */
export interface RooflineTimes {
  copies: readonly (readonly number[])[];
  reads: readonly (readonly number[])[];
  fma: readonly number[];
}

/** The rates of streams of `bytes`, each in its faster form, and of so many invocations of multiply-adds. */
export function ratesOf(
  { bytes, fmaInvocations }: { bytes: number; fmaInvocations: number },
  { copies, reads, fma }: RooflineTimes,
): Roofline {
  const fastest = (forms: readonly (readonly number[])[]) => Math.min(...forms.map(median));
  const { steps, rounds, chains, lanes } = FMA;
  const flops = 2 * fmaInvocations * steps * rounds * chains * lanes;
  return {
    // What is copied is read and written.
    copyGBps: 2 * bytes / fastest(copies) / 1e6,
    readGBps: bytes / fastest(reads) / 1e6,
    fmaGFlops: flops / median(fma) / 1e6,
  };
}

async function prepare(
  gpu: Gpu,
  code: string,
  constants: Record<string, number>,
  tensors: Record<string, Tensor>,
  workgroups: number,
): Promise<Call> {
  const pieces = [{ constants: { WORKGROUP } }, { constants, fragments: [code] }];
  const kernel = await Kernel.compile(gpu, join("roofline", ...pieces));
  const buffers = Object.entries(tensors).map(([name, tensor]) => [name, tensor.buffer]);
  const dispatch = kernel.bind(Object.fromEntries(buffers), [workgroups, 1]);
  return (pass) => dispatch.encode(pass);
}
