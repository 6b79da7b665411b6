/** Devices by name, at the rates that their makers publish: ceilings, which no program passes and few reach. */

import type { Device } from "./device.ts";

/** Gigabytes are 1e9 bytes, as makers count bandwidth. */
const GB = 1e9;
const TERA = 1e12;

/**
 * A device at its published figures: GB of memory, GB/s, and Tflop/s of f32 and f16.
 *
 * Makers also print "80 GB" for memory that holds 80 GiB, of which drivers and runtimes then take some. Reading it as 80e9
 * bytes leaves them the difference.
 */
function device(
  name: string,
  [memory, bandwidth, f32, f16]: readonly [number, number, number, number],
  source: string,
): Device {
  return {
    name,
    memoryBytes: memory * GB,
    bytesPerSecond: bandwidth * GB,
    f32FlopsPerSecond: f32 * TERA,
    f16FlopsPerSecond: f16 * TERA,
    source,
  };
}

const ADA =
  "NVIDIA, GeForce RTX 40 specifications and Ada architecture whitepaper (f16 sums in f32)";
const A100 = "NVIDIA, A100 Tensor Core GPU datasheet (SXM)";
const H100 = "NVIDIA, H100 Tensor Core GPU datasheet (SXM; f16 without sparsity)";
const H200 = "NVIDIA, H200 Tensor Core GPU datasheet (SXM; f16 without sparsity)";
const APPLE = "Apple, press release of the chip; f16 as f32, as its GPU has one rate for both";
const PHONE =
  "a class, not a product: 64 bits of LPDDR5X-8533 (JEDEC JESD209-5), half of 12 GB for one program, 2 Tflop/s in f32";

export const GPUS: readonly Device[] = [
  device("rtx-4060-8gb", [8, 272, 15.1, 30.2], ADA),
  device("rtx-4070-12gb", [12, 504, 29.1, 58.3], ADA),
  device("rtx-4080-16gb", [16, 716.8, 48.7, 97.5], ADA),
  device("rtx-4090-24gb", [24, 1008, 82.6, 165.2], ADA),
  device("a100-40gb", [40, 1555, 19.5, 312], A100),
  device("a100-80gb", [80, 2039, 19.5, 312], A100),
  device("h100-80gb", [80, 3350, 67, 989], H100),
  device("h200-141gb", [141, 4800, 67, 989], H200),
  device("m1-16gb", [16, 68.25, 2.6, 2.6], APPLE),
  device("m2-24gb", [24, 100, 3.6, 3.6], APPLE),
  device("m2-max-96gb", [96, 400, 13.6, 13.6], APPLE),
  device("m2-ultra-192gb", [192, 800, 27.2, 27.2], APPLE),
  device("phone", [6, 68.3, 2, 4], PHONE),
];
