import { Gpu } from "../../mod.ts";

let opened: Promise<Gpu> | undefined;

/**
 * The GPU that all tests of a file share: devices are dear, and a device compiles each kernel once. `deno test ... --
 * --plain` takes one that has nothing beyond WebGPU's default limits and f16: no subgroups, no timestamps; and that runs the
 * invocations of a workgroup in the reverse order.
 */
export function sharedGpu(): Promise<Gpu> {
  return opened ??= openGpu();
}

/** A device of the same kind, for tests that lose it. The caller destroys it. */
export function openGpu(): Promise<Gpu> {
  return Deno.args.includes("--plain") ? openPlain() : Gpu.open();
}

async function openPlain(): Promise<Gpu> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const requiredFeatures = (["shader-f16"] as const).filter((name) => adapter?.features.has(name));
  const gpu = await Gpu.from(await adapter!.requestDevice({ requiredFeatures }));
  reverseInvocations(gpu.device);
  return gpu;
}

/**
 * Numbers the invocations of every kernel of the library to come from the last to the first. Software runs a workgroup's
 * subgroups one after the other, up to a barrier: where one is missing, only one of the two orders goes wrong.
 */
function reverseInvocations(device: GPUDevice): void {
  const create = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) => {
    const [builtin, name] = /@builtin\(local_invocation_index\) (\w+)/.exec(descriptor.code) ?? [];
    if (!builtin || !descriptor.code.includes("const WORKGROUP =")) return create(descriptor);
    const code = descriptor.code
      .replace(builtin, "@builtin(local_invocation_index) place")
      .replace(/fn main\([^{]*\{/, `$&\n  let ${name} = WORKGROUP - 1u - place;`);
    return create({ ...descriptor, code });
  };
}

/** Whether the adapter has f16; says so once per file if not, so that nobody takes silence for success. */
export async function hasF16(): Promise<boolean> {
  const { features, description } = await sharedGpu();
  if (!features.f16 && !isTold) {
    console.log(`f16 is not tested: ${description.description} lacks it`);
  }
  isTold = true;
  return features.f16;
}

let isTold = false;

// What WebGPU refuses outside an error scope is silent: here it fails the file.
Deno.test.afterAll(async () => {
  const gpu = await opened;
  await gpu?.settled();
  gpu?.destroy();
});
