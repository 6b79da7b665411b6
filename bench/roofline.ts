/** What the adapter reaches on plain streams and plain arithmetic: the ceiling that every figure stands under. */
import { type Gpu, Tensor } from "../mod.ts";
import { Kernel } from "../src/_kernel.ts";
import { kernels } from "./kernels/mod.ts";
import { randomTensor } from "./random.ts";
import type { Roofline } from "./result.ts";
import { median } from "./statistics.ts";
import { type Call, type Effort, timeInTurns } from "./stopwatch.ts";

const WORKGROUP = 256;
const STREAM_BYTES = { software: 64 * 2 ** 20, gpu: 512 * 2 ** 20 };
const PER_INVOCATION = 64;
const FMA = { steps: 512, chains: 8, lanes: 4 };

/** Measures copy bandwidth, read bandwidth and the rate of f32 multiply-adds. */
export async function measureRoofline(gpu: Gpu, effort: Effort): Promise<Roofline> {
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = gpu.device.limits;
  const wanted = STREAM_BYTES[gpu.description.isSoftware ? "software" : "gpu"];
  const mostInvocations = Math.min(wanted, maxStorageBufferBindingSize) / (16 * PER_INVOCATION);
  const workgroups = Math.min(
    Math.floor(mostInvocations / WORKGROUP),
    maxComputeWorkgroupsPerDimension,
  );
  const invocations = workgroups * WORKGROUP;
  const bytes = invocations * PER_INVOCATION * 16;
  const source = await randomTensor(gpu, [bytes / 4], { dtype: "f32", seed: 1 });
  const target = await Tensor.empty(gpu, [bytes / 4]);

  const stream = async (code: string, output: string, side: "neighbours" | "runs") => {
    const steps = side === "neighbours"
      ? { INVOCATION_STEP: 1, STEP: invocations }
      : { INVOCATION_STEP: PER_INVOCATION, STEP: 1 };
    return await prepare(gpu, code, { PER_INVOCATION, ...steps }, {
      source,
      [output]: target,
    }, workgroups);
  };
  const calls = await Promise.all([
    stream(kernels.copy, "target_", "neighbours"),
    stream(kernels.copy, "target_", "runs"),
    stream(kernels.read, "sums", "neighbours"),
    stream(kernels.read, "sums", "runs"),
    prepare(gpu, kernels.fma, { STEPS: FMA.steps }, { seeds: source, sums: target }, workgroups),
  ]);
  try {
    const [copyA, copyB, readA, readB, fma] = (await timeInTurns(gpu, calls, effort)).map(median);
    return {
      copyGBps: 2 * bytes / Math.min(copyA, copyB) / 1e6,
      readGBps: bytes / Math.min(readA, readB) / 1e6,
      fmaGFlops: invocations * FMA.steps * FMA.chains * FMA.lanes * 2 / fma / 1e6,
    };
  } finally {
    source.destroy();
    target.destroy();
  }
}

async function prepare(
  gpu: Gpu,
  code: string,
  constants: Record<string, number>,
  tensors: Record<string, Tensor>,
  workgroups: number,
): Promise<Call> {
  const kernel = await Kernel.compile(gpu, "roofline", {
    constants: { WORKGROUP, ...constants },
    fragments: [code],
  });
  const buffers = Object.entries(tensors).map(([name, tensor]) => [name, tensor.buffer]);
  const bindings = kernel.bind(Object.fromEntries(buffers));
  return (pass) => kernel.dispatch(pass, bindings, [workgroups, 1]);
}
