const BYTE_UNITS = ["B  ", "KiB", "MiB", "GiB", "TiB"];

/**
 * Writes the figures of one column so that their decimal points stand below each other, with three
 * significant digits for the smallest of them but no more than three decimals.
 *
 * @param values The figures, in any one unit; null where there is none.
 * @returns A text for each: "-" for null, thousands set apart by commas.
 */
export function alignDecimals(values: (number | null)[]): string[] {
  const magnitudes = values.map((value) => Math.abs(value ?? NaN))
    .filter((value) => value > 0 && value < Infinity);
  const exponent = magnitudes.length === 0 ? 2 : Math.floor(Math.log10(Math.min(...magnitudes)));
  const decimals = Math.min(Math.max(2 - exponent, 0), 3);
  const format = new Intl.NumberFormat("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  return values.map((value) => {
    if (value === null) return "-";
    return Number.isFinite(value) ? format.format(value) : `${value}`;
  });
}

/**
 * The unit in which a time, and all longer ones beside it, needs no leading zeros.
 *
 * @param ms The shortest time of a column, in milliseconds.
 * @returns The unit's name, and how many of it are a millisecond.
 */
export function latencyUnit(ms: number): { name: "us" | "ms" | "s"; perMs: number } {
  if (ms < 1) return { name: "us", perMs: 1000 };
  return ms < 1000 ? { name: "ms", perMs: 1 } : { name: "s", perMs: 0.001 };
}

/**
 * Writes a number of bytes in a binary unit of fixed width, with three significant digits or more.
 *
 * @param bytes How many, at least 0.
 * @returns For example "512 B  ", "1.5 KiB" or "1023 MiB".
 */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const rounded = value < 100 ? Number(value.toPrecision(3)) : Math.round(value);
  return `${rounded} ${BYTE_UNITS[unit]}`;
}

/** Bytes in a binary unit, e.g. "8 GiB". */
export function shortBytes(bytes: number): string {
  return formatBytes(bytes).trimEnd();
}
