/** Rows of pages between a pool and the host. */
import { sentence } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import { rowBytes } from "../tensor/dtype.ts";
import { readRegions, type TensorRegions } from "./kv_memory.ts";
import { storedRows } from "./kv_shape.ts";
import type { PagePool, PoolShape } from "./page_pool.ts";

/** Bytes of a page in one head of one layer, of keys and of values. */
function pageBytesOf(shape: PoolShape): Map<"k" | "v", number> {
  const { kvDtype, pages } = shape;
  return new Map(
    storedRows(shape).map(([name, size]) => [name, pages.size * rowBytes(size, kvDtype)]),
  );
}

/** Bytes of pages in all heads and layers. */
export function pagesBytes(shape: PoolShape, numPages: number): number {
  const { layers, numKvHeads } = shape;
  const perHead = [...pageBytesOf(shape).values()].reduce((sum, bytes) => sum + bytes, 0);
  return layers * numKvHeads * numPages * perHead;
}

/** Throws unless pages end on whole words, as copies and writes do: others share a word with their neighbours. */
export function checkWords(action: string, shape: PoolShape): void {
  for (const bytes of pageBytesOf(shape).values()) {
    if (bytes % 4 === 0) continue;
    const { kvDtype, headDim, valueDim, pages } = shape;
    throw new RangeError(
      sentence(action, "pages must end on whole words (use an even pageSize)", {
        ...{ kvDtype, headDim, valueDim, pageSize: pages.size },
      }),
    );
  }
}

/** The pages by layer, keys before values, head by head: an order in which it does not show how a device cuts its pools. */
function* pageRegions(
  { layers, shape }: PagePool,
  pages: readonly number[],
): Generator<TensorRegions> {
  for (const parts of layers) {
    for (const [name, bytes] of pageBytesOf(shape)) {
      for (const { numHeads, ...tensors } of parts) {
        const tensor = tensors[name]!;
        const regions = Array.from(
          { length: numHeads },
          (_, head) =>
            pages.map((page) => ({
              tensor,
              offset: (head * shape.pages.count + page) * bytes,
              bytes,
            })),
        )
          .flat();
        if (regions.length > 0) yield { tensor, regions };
      }
    }
  }
}

/** Reads the rows of pages, and counters, by one submit. */
export function readPages(
  action: string,
  pool: PagePool,
  pages: readonly number[],
  counters: readonly GPUBuffer[],
): Promise<{ rows: Uint8Array<ArrayBuffer>; counters: Uint32Array[] }> {
  return readRegions(pool.gpu, action, pageRegions(pool, pages), counters);
}

/** Writes what {@linkcode readPages} read into other pages, and nothing beside them. */
export function writePages(pool: PagePool, pages: readonly number[], rows: Uint8Array): void {
  const { queue }: Gpu["device"] = pool.gpu.device;
  let at = 0;
  for (const { tensor, regions } of pageRegions(pool, pages)) {
    for (const { offset, bytes } of regions) {
      queue.writeBuffer(tensor.buffer, offset, rows.slice(at, at + bytes));
      at += bytes;
    }
  }
}
