/** What a device's subgroups are like, found by trying: feature lists and runtimes differ too much to be asked. */

/** Subgroups as kernels can use them. */
export interface Subgroups {
  /** Whether a module must declare `enable subgroups;` (Dawn) or must not (naga). */
  mustEnable: boolean;
  /** Invocations of the smallest subgroup; 0 where there are none, or their order is not that of the invocations. */
  size: number;
}

const NONE: Subgroups = { mustEnable: false, size: 0 };
const INVOCATIONS = 128;
const BYTES = INVOCATIONS * 4;
const USAGE = { mapRead: 0x01, copySrc: 0x04, copyDst: 0x08, storage: 0x80 };
const MAP_READ = 1;

// Each invocation says how large its subgroup is, or 0 where it is not at the place in it that its index suggests.
const CODE = `
@group(0) @binding(0) var<storage, read_write> sizes: array<u32>;
@compute @workgroup_size(${INVOCATIONS})
fn main(
  @builtin(local_invocation_index) invocation: u32,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) place: u32,
) {
  sizes[invocation] = select(0u, size, subgroupAdd(0u) + invocation % size == place);
}`;

/** Tries subgroups out on a device. */
export async function probeSubgroups(device: GPUDevice): Promise<Subgroups> {
  if (!device.features.has("subgroups")) return NONE;
  for (const mustEnable of [false, true]) {
    const sizes = await runProbe(device, mustEnable ? `enable subgroups;${CODE}` : CODE);
    if (!sizes) continue;
    const listed = device.adapterInfo?.subgroupMinSize || Infinity;
    return { mustEnable, size: Math.min(listed, ...sizes) };
  }
  return NONE;
}

async function runProbe(device: GPUDevice, code: string): Promise<Uint32Array | undefined> {
  device.pushErrorScope("validation");
  const label = "probe subgroups";
  const module = device.createShaderModule({ label, code });
  const pipeline = device.createComputePipeline({ label, layout: "auto", compute: { module } });
  const size = BYTES;
  const found = device.createBuffer({ label, size, usage: USAGE.storage | USAGE.copySrc });
  const read = device.createBuffer({ label, size, usage: USAGE.mapRead | USAGE.copyDst });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: found } }],
  });
  const encoder = device.createCommandEncoder({ label });
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(found, 0, read, 0, size);
  device.queue.submit([encoder.finish()]);
  try {
    if (await device.popErrorScope()) return undefined;
    await read.mapAsync(MAP_READ);
    return new Uint32Array(read.getMappedRange().slice(0));
  } catch {
    // A lost device: whoever uses it next is told.
    return undefined;
  } finally {
    found.destroy();
    read.destroy();
  }
}
