/** From what the bench measured to the two ceilings of a roofline. */
import {
  type AdapterInfo,
  type DecodeCeiling,
  endsOf,
  movedBytes,
  operations,
  type Roofline,
} from "../../bench/mod.ts";
import type { DeviceRates, KvDtype } from "../../mod.ts";
import type { Device } from "./device.ts";

/**
 * The rates that attention can count on: those that decoding was measured to reach, with this implementation and element
 * type where they were among those measured. Reports from before that was measured have plain reads and plain arithmetic,
 * which promise more.
 */
export function ratesFor(
  { adapter, roofline }: { adapter: Pick<AdapterInfo, "isSoftware">; roofline: Roofline },
  { impl, dtype }: { impl: string; dtype: KvDtype },
): DeviceRates {
  const { decode = [], readGBps, copyGBps, fmaGFlops } = roofline;
  const ceiling = decode.find((own) => own.impl === impl && own.dtype === dtype) ??
    decode.find((own) => own.impl === impl) ?? decode[0];
  const serial = ceiling && adapter.isSoftware ? serialRates(ceiling) : undefined;
  return serial ?? {
    bytesPerSecond: (ceiling?.gbPerSecond ?? Math.max(readGBps, copyGBps)) * 1e9,
    flopsPerSecond: (ceiling?.gflops ?? fmaGFlops) * 1e9,
  };
}

/**
 * The rates of a device that loads and computes by turns, from the two ends that were measured: each time is the sum of
 * what its bytes and what its operations take. Nothing where the ends are not those of such a device.
 */
function serialRates({ dtype, gbPerSecond, gflops }: DecodeCeiling): DeviceRates | undefined {
  const { mha, mqa } = endsOf(dtype);
  const [mhaSeconds, mqaSeconds] = [
    movedBytes(mha) / (gbPerSecond * 1e9),
    operations(mqa) / (gflops * 1e9),
  ];
  const bytesPerSecond = (movedBytes(mha) - movedBytes(mqa)) / (mhaSeconds - mqaSeconds);
  const flopsPerSecond = operations(mqa) / (mqaSeconds - movedBytes(mqa) / bytesPerSecond);
  return bytesPerSecond > 0 && flopsPerSecond > 0
    ? { bytesPerSecond, flopsPerSecond, isSerial: true }
    : undefined;
}

/** A measured adapter as a device: what multiplies weights is f32 arithmetic too, at its full rate. */
export function measuredDevice(
  name: string,
  report: { adapter: Pick<AdapterInfo, "isSoftware">; roofline: Roofline },
  dtype: KvDtype,
): Device {
  const { roofline } = report;
  const { bytesPerSecond, flopsPerSecond, isSerial } = ratesFor(report, { impl: "fused", dtype });
  return {
    name,
    bytesPerSecond,
    isSerial,
    f32FlopsPerSecond: flopsPerSecond,
    f16FlopsPerSecond: roofline.fmaGFlops * 1e9,
    source: roofline.decode?.length
      ? "measured: what decoding reached, and f32 arithmetic in the place of f16"
      : "measured: plain reads and f32 arithmetic, which promise more than decoding reaches",
  };
}
