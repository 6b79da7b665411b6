import { USAGE } from "../gpu/usage.ts";

/** A buffer of `count` numbers, all of them `value`. */
export function filledBuffer(device: GPUDevice, count: number, value: number): GPUBuffer {
  const buffer = device.createBuffer({
    label: "attention lengths",
    size: count * 4,
    usage: USAGE.storage,
    mappedAtCreation: true,
  });
  new Uint32Array(buffer.getMappedRange()).fill(value);
  buffer.unmap();
  return buffer;
}
