/**
 * What Dawn, the strictest of compilers, says of the kernels that GPUs get, and of the library's other modules: runs inside
 * Node on a device that takes every feature and computes nothing. Dawn refuses barriers and subgroup operations that not all
 * invocations surely reach, and workgroup memory above the limit; others compile both.
 */
import {
  Attention,
  type AttentionSpec,
  type DeviceProfile,
  Gpu,
  GpuWorkError,
  type Tiling,
  type Tuning,
} from "@onehead/attention";
import { Random } from "../support/random.ts";
import { type Check, CHECKS, type Report } from "./guest.ts";

const NAME = "Dawn's validation";

/** GPUs, by the size of their subgroups. */
const PROFILES: readonly DeviceProfile[] = [0, 16, 32, 64].map((subgroupSize) => ({
  ...{ isSoftware: false, subgroupSize, longLoads: false },
}));

const WIDE = { numHeads: 64, numKvHeads: 2, headDim: 128, capacity: 4096 };
const FEW = { ...WIDE, numKvHeads: 16 };
const ODD = { ...WIDE, headDim: 33, seqLen: 9 };

/** Tiles that tuning may find. */
function tuned(tiling: Pick<Tiling, "keys" | "lanes" | "sharers">): Tuning {
  const sizes = {
    maxRows: 16,
    maxRowGroups: 1,
    maxPairs: 16,
    workgroup: 16,
    fillingWorkgroups: 64,
  };
  const tilings = [{ leastRows: 1, ...sizes, partners: 1, keyChunk: 0, columns: 4, ...tiling }];
  return { schema: 3, adapter: "any", tilings };
}

/** Attentions beside those of the cases: each storage with few rows and many, all options, and tiles that fill a workgroup. */
const SPECS: readonly AttentionSpec[] = [
  ...[WIDE, FEW, ODD].flatMap((spec) => [
    spec,
    ...(["f16", "int8", "int4"] as const).flatMap((kvDtype) =>
      (["f32", "f16"] as const).map((arithmetic) => ({ ...spec, kvDtype, arithmetic }))
    ),
  ]),
  ...(["fused", "staged"] as const).map((impl) => ({
    ...{ ...WIDE, impl, seqLen: 3, window: 99, sinks: 2, softcap: 9, outputs: ["lse"] as const },
    ...{ alibiSlopes: Array(64).fill(1), sinkLogits: Array(64).fill(1) },
    ...{ bias: [3, 4096], mask: [3, 4096] },
  })),
  { ...WIDE, softcap: 9, outputs: ["products", "softcapped", "scores", "weights"] },
  { ...WIDE, headDim: 256, tuning: tuned({ keys: 3, lanes: 64, sharers: 0 }) },
  { ...WIDE, tuning: tuned({ keys: 4, lanes: 16, sharers: 16 }) },
];

/** Has every kernel compiled and bound for every kind of GPU, and reports what is refused. */
export async function main(
  seed: number,
  report: (report: Report) => void,
  source: GPU,
): Promise<void> {
  const adapter = await source.requestAdapter();
  const requiredFeatures: GPUFeatureName[] = ["subgroups", "shader-f16"];
  const device = await adapter!.requestDevice({ requiredFeatures });
  proveReadbacks(device);
  report({ kind: "gpu", adapter: NAME, subgroups: true, enableSubgroups: true, f16: true });
  const { readFile } = await import("node:fs/promises");
  const modules: string[] = JSON.parse(await readFile("modules.json", "utf8"));
  for (const [i, code] of modules.entries()) {
    const name = `module ${i}`;
    const why = await refusal(device, () => compiledModule(device, code));
    report(
      why
        ? { kind: "failed", name, why: `${why}\n${code}` }
        : { kind: "case", name, error: 0, tolerance: 0 },
    );
  }
  for (const profile of PROFILES) {
    const gpu = gpuOf(device, profile);
    const specs = SPECS.filter(({ tuning }) =>
      !tuning || tuning.tilings[0].sharers <= profile.subgroupSize
    );
    const checks: readonly { name: string; check: Check }[] = [
      // This device lists no matrix units.
      ...CHECKS.filter(({ arithmetic }) => arithmetic !== "matrix"),
      ...specs.map((spec) => ({ name: JSON.stringify(spec), check: compiled(spec) })),
    ];
    for (const { name: what, check } of checks) {
      const name = `${what}, subgroups of ${profile.subgroupSize}`;
      const why = await refusal(device, () => check(gpu, new Random(seed)));
      report(
        why ? { kind: "failed", name, why } : { kind: "case", name, error: 0, tolerance: 0 },
      );
    }
  }
  report({ kind: "end" });
}

function compiled(spec: AttentionSpec): Check {
  return async (gpu) => {
    (await Attention.create(gpu, spec)).destroy();
    return 0;
  };
}

async function compiledModule(device: GPUDevice, code: string): Promise<number> {
  const module = device.createShaderModule({ code });
  device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  return await 0;
}

/** What Dawn refuses; that whatever is read back is wrong is no matter. */
async function refusal(
  device: GPUDevice,
  check: () => Promise<number>,
): Promise<string | undefined> {
  device.pushErrorScope("validation");
  const thrown = await check().catch((error) => error);
  const error = await device.popErrorScope();
  // What was never computed is whatever lay in memory, and no token.
  const isRefusal = thrown instanceof GpuWorkError && !thrown.message.includes("is not a number");
  return isRefusal ? thrown.message : error?.message;
}

/** Gives readbacks the number that proves them, so that checks go on to the kernels behind one. */
function proveReadbacks(device: GPUDevice): void {
  const { queue } = device;
  const [create, write] = [device.createBuffer.bind(device), queue.writeBuffer.bind(queue)];
  let newest: ArrayBuffer;
  queue.writeBuffer = (buffer, offset, data, ...part) => {
    if (buffer.label === "readback number") newest = (data as Uint32Array<ArrayBuffer>).buffer;
    return write(buffer, offset, data, ...part);
  };
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    // The number is written right before its proof is made.
    const proof = newest;
    if (descriptor.label === "readback proof") buffer.getMappedRange = () => proof;
    return buffer;
  };
}

/** A device that does not compute is none to the library: it is told that this one is a GPU of some kind. */
function gpuOf(device: GPUDevice, profile: DeviceProfile): Gpu {
  const gpu: Gpu = Object.create(Gpu.prototype, {
    device: { value: device },
    profile: { value: profile },
    dialect: { value: { enableSubgroups: true } },
    features: { value: { f16: true, subgroups: true, timestamps: false, matrixUnits: false } },
    description: { value: { description: NAME } },
  });
  return Object.assign(gpu, {
    throwIfFailed() {},
    waitFor: <Value>(pending: Promise<Value>) => pending,
    async guard<Value>(action: string, create: () => Value): Promise<Value> {
      device.pushErrorScope("validation");
      const created = create();
      const error = await device.popErrorScope();
      if (error) throw new GpuWorkError(`Cannot ${action}: ${error.message}`);
      return created;
    },
  });
}
