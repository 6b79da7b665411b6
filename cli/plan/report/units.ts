/** Short texts for labels and cells. */

const LETTERS = ["", "K", "M", "G", "T"];

/** A number of tokens, e.g. "4K" or "1000". */
export function shortCount(count: number): string {
  return count % 1024 === 0 ? `${count / 1024}K` : `${count}`;
}

/** Bytes in at most four letters, e.g. "8G" for 8 GiB. */
export function tinyBytes(bytes: number): string {
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), LETTERS.length - 1);
  const value = bytes / 1024 ** power;
  return `${value < 9.95 ? Number(value.toFixed(1)) : Math.round(value)}${LETTERS[power]}`;
}
