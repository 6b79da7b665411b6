import { checkInteger, checkObject, sentence } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";

/** Options of {@linkcode RingKvCache.restore} and `PagedKvCache.restore`. */
export interface RestoreOptions {
  /** Most bytes to allocate: of keys and values, or of tables of pages. The default is the size of the device's largest buffer. */
  maxBytes?: number;
}

/** Reads the options once, and returns what throws where `what` of a snapshot takes more bytes. */
export function boundOf(
  action: string,
  gpu: Gpu,
  options: RestoreOptions,
): (what: string, bytes: number) => void {
  checkObject(action, "options", options);
  const { maxBytes = gpu.device.limits.maxBufferSize } = options;
  checkInteger(action, "maxBytes", maxBytes);
  return (what, bytes) => {
    if (bytes <= maxBytes) return;
    const rule = `${what} must take at most maxBytes (raise it where you trust the snapshot)`;
    throw new RangeError(sentence(action, rule, { bytes, maxBytes }));
  };
}
