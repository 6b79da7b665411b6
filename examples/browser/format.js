/** Short texts for figures. */

const UNITS = ["B", "KiB", "MiB", "GiB"];

/** @param {number} bytes For example "1.5 MiB". */
export function formatBytes(bytes) {
  const unit = Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
  return `${Number((bytes / 1024 ** unit).toPrecision(3))} ${UNITS[unit]}`;
}

/** @param {number} ms For example "812 µs". */
export function formatTime(ms) {
  if (ms < 1) return `${Number((ms * 1000).toPrecision(3))} µs`;
  return `${Number(ms.toPrecision(3))} ms`;
}

/** @param {number} value For example "12,300". */
export function formatCount(value) {
  return Number(value.toPrecision(3)).toLocaleString("en-US");
}
