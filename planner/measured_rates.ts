/** From what the bench measured to the two ceilings of a roofline. */
import type { DeviceRates, KvDtype } from "../mod.ts";
import type { Roofline } from "../bench/result.ts";
import type { Device } from "./gpus.ts";

/**
 * What attention can count on: what decoding was measured to reach, with this implementation and element type where they
 * were among those measured. Reports from before that was measured have plain reads and plain arithmetic, which promise
 * more.
 */
export function ratesFor(
  roofline: Roofline,
  { impl, dtype }: { impl: string; dtype: KvDtype },
): DeviceRates {
  const { decode = [], readGBps, copyGBps, fmaGFlops } = roofline;
  const ceiling = decode.find((own) => own.impl === impl && own.dtype === dtype) ??
    decode.find((own) => own.impl === impl) ?? decode[0];
  return {
    bytesPerSecond: (ceiling?.gbPerSecond ?? Math.max(readGBps, copyGBps)) * 1e9,
    flopsPerSecond: (ceiling?.gflops ?? fmaGFlops) * 1e9,
  };
}

/** A measured adapter as a device: what multiplies weights is f32 arithmetic too, at its full rate. */
export function measuredDevice(
  name: string,
  roofline: Roofline,
  dtype: KvDtype,
): Device {
  const { bytesPerSecond, flopsPerSecond } = ratesFor(roofline, { impl: "fused", dtype });
  return {
    name,
    bytesPerSecond,
    f32FlopsPerSecond: flopsPerSecond,
    f16FlopsPerSecond: roofline.fmaGFlops * 1e9,
    source: roofline.decode?.length
      ? "measured: what decoding reached, and f32 arithmetic in the place of f16"
      : "measured: plain reads and f32 arithmetic, which promise more than decoding reaches",
  };
}
