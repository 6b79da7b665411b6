/** Tries a small kernel on a device: feature lists, names and runtimes differ too much to be asked. */

import { lossOf } from "./loss.ts";
import { SMALLEST_SUBGROUP } from "./profile.ts";
import { MAP_READ, USAGE } from "./usage.ts";

/** The findings. */
export interface Probed {
  /** Whether a kernel that was accepted wrote what it should. Null backends accept everything and do nothing. */
  computes: boolean;
  /** Whether a module with subgroups must declare `enable subgroups;` (Dawn) or must not (naga). */
  mustEnable: boolean;
  /** Invocations of the smallest subgroup; 0 where there are none, or their order is not that of the invocations. */
  subgroupSize: number;
}

const INVOCATIONS = 128;
const BYTES = INVOCATIONS * 8;

// Each invocation says which one it is, so that memory that was not written differs from an answer.
const PLAIN = `
@group(0) @binding(0) var<storage, read_write> found: array<vec2u>;
@compute @workgroup_size(${INVOCATIONS})
fn main(@builtin(local_invocation_index) invocation: u32) {
  found[invocation] = vec2u(invocation, 0u);
}`;

// And how large its subgroup is, or 0 where it is not at the place in it that its index suggests.
const SUBGROUPS = `
@group(0) @binding(0) var<storage, read_write> found: array<vec2u>;
@compute @workgroup_size(${INVOCATIONS})
fn main(
  @builtin(local_invocation_index) invocation: u32,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) place: u32,
) {
  let isInOrder = subgroupAdd(0u) + invocation % size == place;
  found[invocation] = vec2u(invocation, select(0u, size, isInOrder));
}`;

/** Tries a device out. */
export async function probe(device: GPUDevice): Promise<Probed> {
  if (device.features.has("subgroups")) {
    for (const mustEnable of [false, true]) {
      const found = await run(device, mustEnable ? `enable subgroups;${SUBGROUPS}` : SUBGROUPS);
      if (!found) continue;
      const sizes = found.filter((_, i) => i % 2 === 1);
      // The size of this kernel's subgroups is no bound for others, as compilers may choose a size for each.
      const listed = device.adapterInfo?.subgroupMinSize || SMALLEST_SUBGROUP;
      return {
        computes: isComputed(found),
        mustEnable,
        subgroupSize: Math.min(listed, ...sizes),
      };
    }
  }
  const found = await run(device, PLAIN);
  return { computes: !found || isComputed(found), mustEnable: false, subgroupSize: 0 };
}

function isComputed(found: Uint32Array): boolean {
  return found.every((value, i) => i % 2 === 1 || value === i / 2);
}

/** The numbers that the kernel wrote; undefined if the device does not take it. */
async function run(device: GPUDevice, code: string): Promise<Uint32Array | undefined> {
  device.pushErrorScope("validation");
  const label = "probe";
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
  const loss = lossOf(device);
  try {
    if (await loss.waitFor(device.popErrorScope())) return undefined;
    await loss.waitFor(read.mapAsync(MAP_READ));
    return new Uint32Array(read.getMappedRange().slice(0));
  } finally {
    found.destroy();
    read.destroy();
  }
}
