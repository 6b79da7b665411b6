import { checkChoice, checkInteger, checkObject, sentence } from "../base/check.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { type Dtype, DTYPES, KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import type { Layout } from "../tensor/layout.ts";
import { checkDtype } from "../tensor/tensor.ts";
import type { PageLayout } from "./cache_spec.ts";
import { partedShape } from "./head_parts.ts";
import { allocateParts, type KvPart, tensorsOf } from "./kv_memory.ts";
import { PageAllocator } from "./page_allocator.ts";

/** Options of {@linkcode PagePool.create}. */
export interface PagePoolOptions {
  /** Layers, each with keys and values of its own in every page. The default is 1. */
  layers?: number;
  /** Key/value heads: 1 for multi-query attention. */
  numKvHeads: number;
  /** Elements of a key. */
  headDim: number;
  /** Elements of a value. The default is `headDim`. */
  valueDim?: number;
  /** Pages in all. */
  numPages: number;
  /**
   * Tokens of a page: a sequence leaves at most one less of them unused, and prompts share whole pages. The default is 32.
   */
  pageSize?: number;
  /** Element type of the tensors that are appended, and of queries. The default is `"f32"`. */
  dtype?: Dtype;
  /** Element type in storage; {@linkcode KvDtype} says what it takes and what it costs. The default is `dtype`. */
  kvDtype?: KvDtype;
  /** Axes of the tensors that are appended. The default is `"BSNH"`. */
  layout?: Layout;
}

/** The options of a pool with their defaults filled in, but for pages. */
export type PoolShape =
  & Required<Omit<PagePoolOptions, "numPages" | "pageSize">>
  & { pages: PageLayout };

const ACTION = "create PagePool";
const DEFAULT_PAGE_SIZE = 32;
/** More layers than any model has; each has buffers of its own. */
const MOST_LAYERS = 4096;

/** Throws a `TypeError` unless a value is a {@linkcode PagePool}. */
export function checkPool(action: string, pool: unknown): void {
  if (pool instanceof PagePool) return;
  throw new TypeError(sentence(action, "pool must be a PagePool", { pool }));
}

/**
 * Memory for the keys and values of many sequences, cut into pages of a fixed number of tokens that are handed out as
 * sequences grow: what a sequence does not use, another can (paged attention: Kwon et al. 2023, arXiv 2309.06180). A page
 * has room for the same tokens in all layers.
 *
 * @example
 * ```ts
 * import { Gpu, PagePool } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const pool = await PagePool.create(gpu, { layers: 2, numKvHeads: 1, headDim: 64, numPages: 100 });
 * console.log(pool.bytes, pool.available); // 3276800 100
 * pool.destroy();
 * gpu.destroy();
 * ```
 */
export class PagePool {
  /** Where it lives. */
  readonly gpu: Gpu;
  /** The options it was made with. */
  readonly shape: PoolShape;
  /** Keys and values of each layer, [numKvHeads, pages, tokens of a page, ...], cut between heads as a ring's. */
  readonly layers: readonly (readonly KvPart[])[];
  /** Who holds which page. */
  readonly allocator: PageAllocator;
  readonly #owned: Owned;

  private constructor(
    gpu: Gpu,
    shape: PoolShape,
    layers: readonly (readonly KvPart[])[],
    owned: Owned,
  ) {
    this.gpu = gpu;
    this.shape = shape;
    this.layers = layers;
    this.allocator = new PageAllocator(shape.pages.count);
    this.#owned = owned;
  }

  /**
   * Allocates the pages.
   *
   * @param gpu Where to allocate.
   * @param options Shapes, and how many pages.
   * @returns The pool. Destroy it with {@linkcode PagePool.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a value is out of range, the device lacks the element type, or the pages of one head do not fit
   * one storage binding of the device.
   * @throws {GpuWorkError} If the device refuses the memory.
   */
  static async create(gpu: Gpu, options: PagePoolOptions): Promise<PagePool> {
    checkGpu(ACTION, gpu);
    checkObject(ACTION, "options", options);
    const { layers = 1, numKvHeads, headDim, valueDim = headDim, numPages } = options;
    const { pageSize = DEFAULT_PAGE_SIZE, dtype = "f32", kvDtype = dtype } = options;
    const { layout = "BSNH" } = options;
    const sizes = { layers, numKvHeads, headDim, valueDim };
    for (const [name, value] of Object.entries({ ...sizes, numPages, pageSize })) {
      checkInteger(ACTION, name, value);
    }
    if ("valuesAre" in options && options.valuesAre !== undefined) {
      throw new TypeError(
        sentence(
          ACTION,
          "pages have values of their own (use a RingKvCache, or leave valuesAre out)",
          {
            valuesAre: options.valuesAre,
          },
        ),
      );
    }
    const given: PagePoolOptions & Partial<Record<"kvCalibration" | "kvRotation", unknown>> =
      options;
    for (const name of ["kvCalibration", "kvRotation"] as const) {
      if (given[name] === undefined) continue;
      const rule = `${name} is of a cache in the pool (give it to PagedKvCache.create)`;
      throw new TypeError(sentence(ACTION, rule, { [name]: given[name] }));
    }
    checkChoice(ACTION, "dtype", dtype, DTYPES);
    checkChoice(ACTION, "kvDtype", kvDtype, KV_DTYPES);
    checkDtype(gpu, ACTION, dtype);
    checkDtype(gpu, ACTION, kvDtype, "kvDtype");
    checkChoice(ACTION, "layout", layout, ["BSNH", "BNSH"]);
    if (layers > MOST_LAYERS) {
      throw new RangeError(
        sentence(ACTION, `layers must be at most ${MOST_LAYERS} (use several pools)`, { layers }),
      );
    }
    const pages = { size: pageSize, count: numPages };
    const shape = { ...sizes, dtype, kvDtype, layout, pages };
    return await Owned.make(async (owned) => {
      const parted = partedShape({ ...shape, batch: 1, capacity: pageSize });
      const made: KvPart[][] = [];
      for (let layer = 0; layer < layers; layer++) {
        made.push(await allocateParts(gpu, owned, ACTION, parted));
      }
      return new PagePool(gpu, shape, made, owned);
    });
  }

  /** Pages that sequences can still take. */
  get available(): number {
    return this.allocator.available;
  }

  /** Bytes that the pages take on the GPU. */
  get bytes(): number {
    return tensorsOf(this.layers.flat()).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Frees the pages. */
  destroy(): void {
    this.#owned.destroy();
  }
}
