import { sentence } from "../base/check.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Append } from "./append.ts";
import type { CacheSpec } from "./cache_spec.ts";
import type { CountedWork } from "./counted_work.ts";
import type { KvPart } from "./kv_memory.ts";
import { checkQueries, type KvView, type ViewingQueries } from "./kv_view.ts";
import { newBuffers, type NewRows, startsOf } from "./new_tokens.ts";
import type { PageTable } from "./page_table.ts";
import { checkKept, type KeptTokens } from "./ring_rules.ts";
import { bindQueries, keepRotation, type Rope, ROPE_QUERIES } from "./rope_kernel.ts";

/** New keys and values of the sequences that were extended. */
export interface PagedTokens {
  /**
   * Keys [B, S, numKvHeads, headDim] (or [B, numKvHeads, S, headDim] in layout `"BNSH"`): of each sequence the first tokens,
   * as many as it was extended by. Or end to end [tokens, numKvHeads, headDim], where {@linkcode PagedKvCache.starts} says
   * whose a row is; there may be more rows than tokens.
   */
  k: Tensor;
  /** Values [B, S, numKvHeads, valueDim] (or [B, numKvHeads, S, valueDim]), or [tokens, numKvHeads, valueDim]. */
  v: Tensor;
}

/** The state that a cache shares with its layers. */
interface Shared {
  parts: readonly KvPart[];
  table: PageTable;
  rope: Rope | undefined;
  /** The table of channels of a calibrated layer. */
  channels: GPUBuffer | undefined;
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
  /** The table of pages, where the new tokens of the last step lie, and the channels of a calibrated layer. */
  readonly buffers: Readonly<Record<"pages" | "newTokens", GPUBuffer> & Record<string, GPUBuffer>>;
  readonly #append: Append;
  readonly #shared: Shared;
  /** The step whose tokens were appended last. */
  #appended: object | undefined;

  private constructor(gpu: Gpu, spec: CacheSpec, append: Append, shared: Shared) {
    this.gpu = gpu;
    this.spec = spec;
    this.parts = shared.parts;
    this.lengthsBuffer = shared.table.lengths;
    const { table: { pages, newTokens }, channels } = shared;
    this.buffers = { pages, newTokens, ...(channels && { channels }) };
    this.#append = append;
    this.#shared = shared;
    const rows = { arrangement: "ragged", batch: 1 } as const;
    keepRotation(this, shared.rope, { ...rows, counters: { newTokens } });
  }

  /** Compiles the append; `owned` keeps what it needs. */
  static async create(
    gpu: Gpu,
    owned: Owned,
    spec: CacheSpec,
    shared: Shared,
  ): Promise<PagedLayer> {
    const { parts, table: { lengths, newTokens, pages }, rope, channels } = shared;
    const buffers = {
      ...{ lengths, newTokens, pages },
      ...(rope && { ropeTable: rope.table }),
      ...(channels && { channels }),
    };
    const append = await Append.create(gpu, owned, spec, rope?.filled, { parts, buffers });
    return new PagedLayer(gpu, spec, append, shared);
  }

  /** Whether keys are rotated while they are appended, so that queries have to be. */
  get hasRope(): boolean {
    return this.#shared.rope !== undefined;
  }

  /** Whether the tokens by which sequences were extended last are in the layer, as of what has been encoded. */
  get isCurrent(): boolean {
    const step = this.#shared.step();
    return step === this.#appended || !step.counts.some((count) => count > 0);
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
    const buffers = newBuffers(APPEND, tokens, this);
    return boundWork(this.#append.bind(buffers), () => {
      const step = this.#shared.step();
      if (step.counts.length === 0 || step === this.#appended) {
        throw new RangeError(
          sentence(APPEND, "sequences must have been extended (extend once before each append)", {
            extended: step === this.#appended ? "appended already" : "no",
          }),
        );
      }
      checkRows(APPEND, "there must be the tokens that sequences were extended by", buffers, step);
      const before = this.#appended;
      this.#appended = step;
      this.#shared.counted.encoded();
      return () => {
        this.#appended = before;
      };
    });
  }

  /**
   * Encodes the rotation of queries in place, to the positions of the last S tokens: after `extend`, before attention. Those
   * that lie end to end are rotated to the positions of the new tokens.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param q Queries [B, S, N, headDim] (or [B, N, S, headDim], or end to end [tokens, N, headDim]), read and written.
   * @throws {TypeError} If the cache has no rope, or the tensor is of another device or element type.
   * @throws {RangeError} If the shape does not match the cache, or queries that lie end to end are fewer than the tokens by
   * which sequences were extended last.
   */
  ropeQueries(target: GPUCommandEncoder | GPUComputePassEncoder, q: Tensor): void {
    this.bindRopeQueries(q).encode(target);
  }

  /**
   * Checks and binds queries once: see {@linkcode PagedLayer.ropeQueries}.
   *
   * @param q Queries, read and written by each encoding.
   * @returns The rotation; of queries that lie end to end, it throws a `RangeError` where they are fewer than the tokens by
   * which sequences were extended last.
   * @throws {TypeError} If the cache has no rope, or the tensor is of another device or element type.
   * @throws {RangeError} If the shape does not match the cache.
   */
  bindRopeQueries(q: Tensor): BoundWork {
    const { rope, table: { lengths, newTokens } } = this.#shared;
    const { dispatch, ...rows } = bindQueries(rope, q, { lengths, newTokens }, this);
    return boundWork([dispatch], () => {
      if (rows.arrangement === "padded") return undefined;
      const rule = "there must be the queries of the tokens that sequences were extended by";
      checkRows(ROPE_QUERIES, rule, rows, this.#shared.step());
      return undefined;
    });
  }

  /**
   * Throws unless every sequence that has tokens holds all that its queries see, as of what has been encoded.
   *
   * @param queries Which tokens they look at.
   * @throws {TypeError} If `queries` is no object, or one of its sizes no number.
   * @throws {RangeError} If a size is out of range, no sequence has tokens, pages that a query would see were given back, or the
   * layer's append of the last step is missing.
   */
  checkVisible(queries: ViewingQueries): void {
    const action = "attend to PagedKvCache";
    checkQueries(action, queries);
    const step = this.#shared.step();
    const { counts } = step;
    if (!this.isCurrent) {
      throw new RangeError(
        sentence(action, "the layer's new tokens must be appended first", { counts }),
      );
    }
    const all = this.#shared.kept();
    if (queries.tokens !== undefined) {
      checkRagged(action, { ...queries, tokens: queries.tokens }, step, all);
      return;
    }
    const kept = all.filter(({ length }) => length > 0);
    if (kept.length === 0) {
      throw new RangeError(
        sentence(action, "no sequence has a token (extend and append first)", { sequences: 0 }),
      );
    }
    for (const one of kept) checkKept(action, one, queries);
  }
}

/** Throws unless there is a query of each new token, and the sequences hold what these see. */
function checkRagged(
  action: string,
  queries: ViewingQueries & { tokens: number },
  step: { counts: readonly number[] },
  kept: readonly KeptTokens[],
): void {
  const { tokens, seqLen } = queries;
  const rule = "there must be a query of each new token (plan more tokens)";
  checkRows(action, rule, { arrangement: "ragged", seqLen: tokens }, step);
  step.counts.forEach((count, sequence) => {
    if (count > seqLen) {
      const rule = "the attention must be planned for as many new tokens of a sequence";
      throw new RangeError(sentence(action, rule, { sequence, count, seqLen }));
    }
    if (count > 0) checkKept(action, kept[sequence], { ...queries, seqLen: count });
  });
}

/** Throws unless there is a row for each token of a step. */
function checkRows(
  action: string,
  rule: string,
  { arrangement, seqLen }: NewRows,
  { counts }: { counts: readonly number[] },
): void {
  const [most, rows] = arrangement === "ragged"
    ? [startsOf(counts).at(-1)!, { tokens: seqLen }]
    : [Math.max(0, ...counts), { seqLen }];
  if (arrangement === "ragged" && counts.length === 0) {
    const rule = "tokens that lie end to end must be those of the last step (extend first)";
    throw new RangeError(sentence(action, rule, { ...rows, counts }));
  }
  if (most <= seqLen) return;
  throw new RangeError(sentence(action, rule, { ...rows, counts }));
}
