import type { DeviceRates } from "../../mod.ts";

/** A device as the planner knows it. */
export interface Device {
  name: string;
  /** Bytes of memory; none where it is not known, as WebGPU does not tell. */
  memoryBytes?: number;
  /** Bytes that memory delivers in a second. */
  bytesPerSecond: number;
  /** f32 operations in a second outside matrix units: what these attention kernels compute with. */
  f32FlopsPerSecond: number;
  /** f16 operations in a second, dense, in matrix units where there are any: what multiplies a model's weights. */
  f16FlopsPerSecond: number;
  /** Whether it loads and computes by turns, as a software adapter does. */
  isSerial?: boolean;
  /** Where all this is published, or how it was measured. */
  source: string;
}

/** The ceilings that attention stands under: its arithmetic is in f32. */
export function attentionRates(
  { bytesPerSecond, f32FlopsPerSecond, isSerial }: Device,
): DeviceRates {
  return { bytesPerSecond, flopsPerSecond: f32FlopsPerSecond, isSerial };
}
