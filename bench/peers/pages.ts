/** Caches in pages of a pool, as peers want them. */
import type { Asked } from "../asked.ts";

/** Tokens of a page. */
export const PAGE_SIZE = 16;

/** The pages of each sequence [batch, pages of a sequence]: those of all sequences in turns, from the last of the pool on. */
export function pageTableOf({ batch, contextLen }: Asked): Int32Array {
  const pages = Math.ceil(contextLen / PAGE_SIZE);
  return Int32Array.from(
    { length: batch * pages },
    (_, i) => batch * pages - 1 - (i % pages * batch + Math.floor(i / pages)),
  );
}

/** K or V [batch, numKvHeads, contextLen, size] in the pages of a pool [pages, PAGE_SIZE, numKvHeads, size]. */
export function inPages(data: Float32Array, asked: Asked, size: number): Float32Array {
  const { batch, numKvHeads, contextLen } = asked;
  const table = pageTableOf(asked);
  const pages = table.length / batch;
  const pool = new Float32Array(table.length * PAGE_SIZE * numKvHeads * size);
  for (let sequence = 0; sequence < batch; sequence++) {
    for (let head = 0; head < numKvHeads; head++) {
      for (let token = 0; token < contextLen; token++) {
        const from = ((sequence * numKvHeads + head) * contextLen + token) * size;
        const page = table[sequence * pages + Math.floor(token / PAGE_SIZE)];
        const row = (page * PAGE_SIZE + token % PAGE_SIZE) * numKvHeads + head;
        pool.set(data.subarray(from, from + size), row * size);
      }
    }
  }
  return pool;
}
