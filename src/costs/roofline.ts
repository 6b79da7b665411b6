/** The time of work under a roofline (Williams et al. 2009). */
import { checkAmount, checkNumber, checkObject, sentence } from "../base/check.ts";

/** The two ceilings of a roofline: as a maker promises them, or as measured. */
export interface DeviceRates {
  /** Bytes that memory delivers in a second. */
  bytesPerSecond: number;
  /** Operations in a second, a multiply-add being two. */
  flopsPerSecond: number;
  /**
   * Whether the same threads load and compute, by turns, as those of a software adapter: both times add up then. The default
   * is false, as on a GPU, which computes while it waits for loads.
   */
  isSerial?: boolean;
}

/** The time of work under a roofline. */
export interface RooflineTime {
  /** Bytes that must move. */
  bytes: number;
  /** Operations that must be done. */
  flops: number;
  /** Time of the bytes alone. */
  memorySeconds: number;
  /** Time of the operations alone. */
  computeSeconds: number;
  /** The longer of the two; where rates are serial, their sum. */
  seconds: number;
  /** The longer of the two. */
  bound: "memory" | "compute";
}

const ACTION = "predict a time";

/**
 * The time of work under a roofline: the longer of the times of its bytes and of its operations, or their sum on a device
 * that does not do both at once.
 *
 * @param work Bytes and operations.
 * @param rates The ceilings.
 * @returns Both times, and the time of the work. No program is faster; many are slower.
 * @throws {TypeError} If `work` or `rates` is no object, or one of their values of the wrong kind.
 * @throws {RangeError} If a rate is not above 0, or bytes or operations are below 0 or not finite.
 *
 * @example
 * ```ts
 * import { rooflineTime } from "@onehead/attention";
 *
 * const { seconds, bound } = rooflineTime({ bytes: 4e9, flops: 4e9 }, { bytesPerSecond: 2e12, flopsPerSecond: 2e13 });
 * console.log(seconds, bound); // 0.002 memory
 * ```
 */
export function rooflineTime(
  work: { bytes: number; flops: number },
  rates: DeviceRates,
): RooflineTime {
  checkObject(ACTION, "work", work);
  checkAmount(ACTION, "bytes", work.bytes);
  checkAmount(ACTION, "flops", work.flops);
  checkRates(rates);
  const memorySeconds = work.bytes / rates.bytesPerSecond;
  const computeSeconds = work.flops / rates.flopsPerSecond;
  return {
    bytes: work.bytes,
    flops: work.flops,
    memorySeconds,
    computeSeconds,
    seconds: rates.isSerial
      ? memorySeconds + computeSeconds
      : Math.max(memorySeconds, computeSeconds),
    bound: memorySeconds >= computeSeconds ? "memory" : "compute",
  };
}

/** Throws unless both rates are above 0. */
export function checkRates(rates: DeviceRates): void {
  checkObject(ACTION, "rates", rates);
  const { bytesPerSecond, flopsPerSecond } = rates;
  for (const [name, value] of Object.entries({ bytesPerSecond, flopsPerSecond })) {
    checkNumber(ACTION, name, value);
    if (!(value > 0)) {
      throw new RangeError(sentence(ACTION, `${name} must be above 0`, { [name]: value }));
    }
  }
}
