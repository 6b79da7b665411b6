import { sentence } from "../base/check.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Append } from "./append.ts";
import type { CacheSpec } from "./cache_spec.ts";
import type { CountedWork } from "./counted_work.ts";
import type { KvPart } from "./kv_memory.ts";
import type { KvView, ViewingQueries } from "./kv_view.ts";
import { newBuffers } from "./new_tokens.ts";
import type { PageTable } from "./page_table.ts";
import { checkKept, type KeptTokens } from "./ring_rules.ts";
import { bindQueries, type FilledRope, type Rope } from "./rope_kernel.ts";

/** New keys and values of the sequences that were extended. */
export interface PagedTokens {
  /**
   * Keys [B, S, numKvHeads, headDim] (or [B, numKvHeads, S, headDim] in layout `"BNSH"`): of each sequence the first tokens,
   * as many as it was extended by.
   */
  k: Tensor;
  /** Values [B, S, numKvHeads, valueDim] (or [B, numKvHeads, S, valueDim]). */
  v: Tensor;
}

/** The state that a cache shares with its layers. */
interface Shared {
  parts: readonly KvPart[];
  table: PageTable;
  rope: Rope | undefined;
  filled: FilledRope | undefined;
  kept: () => readonly KeptTokens[];
  /** The last step; another object for each. */
  step: () => { counts: readonly number[] };
  counted: CountedWork;
}

const APPEND = "append to PagedKvCache";

/**
 * The keys and values of one layer of a {@linkcode PagedKvCache}: what attention reads.
 *
 * @example
 * ```ts
 * import { Gpu, PagedKvCache, PagePool, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const pool = await PagePool.create(gpu, { layers: 2, numKvHeads: 1, headDim: 4, numPages: 4 });
 * const cache = await PagedKvCache.create(pool, { capacity: 64, rope: {} });
 * const k = await Tensor.empty(gpu, [1, 3, 1, 4]);
 * const encoder = gpu.device.createCommandEncoder();
 * cache.extend(encoder, [3]);
 * for (const layer of cache.layers) layer.append(encoder, { k, v: k });
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log(cache.layers[1].hasRope, cache.length()); // true 3
 * gpu.destroy();
 * ```
 */
export class PagedLayer implements KvView {
  /** Where they live. */
  readonly gpu: Gpu;
  /** The part of an attention's specification that the cache decides: spread it into `Attention.create`. */
  readonly spec: CacheSpec;
  /** Keys and values [numKvHeads, pages, tokens of a page, ...], cut between heads. */
  readonly parts: readonly KvPart[];
  /** Tokens of each sequence [B], u32, as of the work that the GPU has done. */
  readonly lengthsBuffer: GPUBuffer;
  /** The table of pages. */
  readonly buffers: Readonly<Record<"pages", GPUBuffer>>;
  readonly #append: Append;
  readonly #shared: Shared;
  /** The step whose tokens were appended last. */
  #appended: object | undefined;

  private constructor(gpu: Gpu, spec: CacheSpec, append: Append, shared: Shared) {
    this.gpu = gpu;
    this.spec = spec;
    this.parts = shared.parts;
    this.lengthsBuffer = shared.table.lengths;
    this.buffers = { pages: shared.table.pages };
    this.#append = append;
    this.#shared = shared;
  }

  /** Compiles the append; `owned` keeps what it needs. */
  static async create(
    gpu: Gpu,
    owned: Owned,
    spec: CacheSpec,
    shared: Shared,
  ): Promise<PagedLayer> {
    const { parts, table: { lengths, counts, pages }, rope, filled } = shared;
    const buffers = { lengths, counts, pages, ...(rope && { ropeTable: rope.table }) };
    const append = await Append.create(gpu, owned, spec, filled, { parts, buffers });
    return new PagedLayer(gpu, spec, append, shared);
  }

  /** Whether keys are rotated while they are appended, so that queries have to be. */
  get hasRope(): boolean {
    return this.#shared.rope !== undefined;
  }

  /**
   * Encodes the writing of the tokens by which sequences were extended last.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tokens New keys and values.
   * @throws {TypeError} If a tensor is of another device or element type.
   * @throws {RangeError} If a shape does not match the cache, there are fewer tokens than sequences were extended by, or they
   * were not extended since the last append.
   */
  append(target: GPUCommandEncoder | GPUComputePassEncoder, tokens: PagedTokens): void {
    this.bindAppend(tokens).encode(target);
  }

  /**
   * Checks and binds the tensors of new tokens once, for loops that fill them anew for each step.
   *
   * @param tokens Where each encoding finds new keys and values. They and the cache must outlive what is returned.
   * @returns The append, to be encoded once after each `extend`; throws a `RangeError` where that was not.
   * @throws {TypeError} If a tensor is of another device or element type.
   * @throws {RangeError} If a shape does not match the cache.
   */
  bindAppend(tokens: PagedTokens): BoundWork {
    const { seqLen, ...buffers } = newBuffers(APPEND, tokens, this);
    const dispatches = this.#append.bind(buffers, seqLen);
    return boundWork(dispatches, () => {
      const step = this.#shared.step();
      const most = Math.max(0, ...step.counts);
      if (step.counts.length === 0 || step === this.#appended) {
        throw new RangeError(
          sentence(APPEND, "sequences must have been extended (extend once before each append)", {
            extended: step === this.#appended ? "appended already" : "no",
          }),
        );
      }
      if (most > seqLen) {
        throw new RangeError(
          sentence(APPEND, "there must be the tokens that sequences were extended by", {
            seqLen,
            counts: step.counts,
          }),
        );
      }
      const before = this.#appended;
      this.#appended = step;
      this.#shared.counted.encoded();
      return () => {
        this.#appended = before;
      };
    });
  }

  /**
   * Encodes the rotation of queries in place, to the positions of the last S tokens: after `extend`, before attention.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param q Queries [B, S, N, headDim] (or [B, N, S, headDim]), read and written.
   * @throws {TypeError} If the cache has no rope, or the tensor is of another device or element type.
   * @throws {RangeError} If the shape does not match the cache.
   */
  ropeQueries(target: GPUCommandEncoder | GPUComputePassEncoder, q: Tensor): void {
    this.bindRopeQueries(q).encode(target);
  }

  /**
   * Checks and binds queries once: see {@linkcode PagedLayer.ropeQueries}.
   *
   * @param q Queries, read and written by each encoding.
   * @returns The rotation.
   * @throws {TypeError} If the cache has no rope, or the tensor is of another device or element type.
   * @throws {RangeError} If the shape does not match the cache.
   */
  bindRopeQueries(q: Tensor): BoundWork {
    const { rope, table } = this.#shared;
    return boundWork([bindQueries(rope, q, table.lengths, this).dispatch]);
  }

  /**
   * Throws unless every sequence that has tokens holds all that its queries see, as of what has been encoded.
   *
   * @param queries Which tokens they look at.
   * @throws {RangeError} If no sequence has tokens, pages that a query would see were given back, or the layer's append of
   * the last step is missing.
   */
  checkVisible(queries: ViewingQueries): void {
    const action = "attend to PagedKvCache";
    const step = this.#shared.step();
    if (step.counts.some((count) => count > 0) && step !== this.#appended) {
      throw new RangeError(
        sentence(action, "the layer's new tokens must be appended first", { counts: step.counts }),
      );
    }
    const kept = this.#shared.kept().filter(({ length }) => length > 0);
    if (kept.length === 0) {
      throw new RangeError(
        sentence(action, "no sequence has a token (extend and append first)", { sequences: 0 }),
      );
    }
    for (const one of kept) checkKept(one, queries);
  }
}
