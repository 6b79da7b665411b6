/** Passes over the new tokens of many sequences in pages, end to end. */
import { Attention } from "../attend/attention.ts";
import { once } from "../base/once.ts";
import type { PagedKvCache } from "../cache/paged_kv_cache.ts";
import type { BoundWork } from "../gpu/bound_work.ts";
import type { Owned } from "../gpu/owned.ts";
import type {
  AttentionProjections,
  AttentionRows,
  NormedLayerTensors,
} from "../layer/attention_projections.ts";
import type { FusedPlan } from "../plan/fused.ts";
import { type AttentionPlan, planAttention } from "../plan/plan.ts";
import type { PlanDevice } from "../plan/plan_base.ts";
import type { AttentionSpec } from "../plan/spec.ts";
import { LEAST_TILES, texelBytes } from "../plan/texels.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type BlockTensors, blockTensors } from "./block.ts";
import type { Model } from "./model.ts";
import { bindHead, bindLayers, finalNormRows, type Pass } from "./passes.ts";

/** Tokens from this one on are the newest of the sequence that follows: see `token_id.wgsl`. */
export const NEWEST = 2 ** 31;

/** The sizes of passes. */
export interface PagedPassesOptions {
  /** Most tokens of a pass. */
  maxStepTokens: number;
  /** Tokens that a layer sees, its own included. */
  windowOf: (layer: number) => number | undefined;
}

/** Tokens of a pass, and the sequences that they are of. */
interface PassSize {
  numTokens: number;
  numSequences: number;
}

/** A new token for each sequence; or several, so many in `"prefill"` that software has textures of the keys that they see. */
type PassKind = "decode" | "mixed" | "prefill";

/** A pass's shape: rows of tokens, and their kind. */
interface PassShape {
  numTokens: number;
  kind: PassKind;
}

/** Tokens of many sequences in, logits of their newest out. */
export class PagedPasses {
  readonly model: Model;
  readonly cache: PagedKvCache;
  /** Tokens that a pass reads: u32 [maxStepTokens]. */
  readonly tokens: Tensor;
  /** The newest token of each sequence: u32 [sequences]. */
  readonly newest: Tensor;
  /** The residual stream of the newest tokens: f32 [1, sequences, dim]. */
  readonly last: Tensor;
  /** Logits after them: f32 [sequences, vocabSize]. */
  readonly logits: Tensor;

  readonly #owned: Owned;
  readonly #options: PagedPassesOptions;
  readonly #tensors: BlockTensors;
  /** The output of the final norm: f32 [sequences, dim]. */
  readonly #normed: Tensor;
  readonly #rows = new Map<string, Promise<AttentionRows>>();
  readonly #attentions = new Map<string, Promise<Attention>>();
  readonly #passes = new Map<string, Promise<Pass>>();
  readonly #heads = new Map<number, Promise<BoundWork>>();

  private constructor(
    model: Model,
    owned: Owned,
    cache: PagedKvCache,
    options: PagedPassesOptions,
    made: Record<"tokens" | "newest" | "last" | "normed" | "logits", Tensor> & {
      tensors: BlockTensors;
    },
  ) {
    this.model = model;
    this.cache = cache;
    this.#owned = owned;
    this.#options = options;
    this.tokens = made.tokens;
    this.newest = made.newest;
    this.last = made.last;
    this.logits = made.logits;
    this.#normed = made.normed;
    this.#tensors = made.tensors;
  }

  /**
   * Allocates all that the largest pass takes, which all passes share: a pass that was refused memory would end whoever runs.
   * `owned` keeps it.
   */
  static async create(
    model: Model,
    owned: Owned,
    cache: PagedKvCache,
    options: PagedPassesOptions,
  ): Promise<PagedPasses> {
    const { gpu, spec } = model;
    const { batch } = cache.spec;
    const { maxStepTokens } = options;
    const empty = async (label: string, shape: number[], dtype: "f32" | "u32" = "f32") =>
      owned.keep(await Tensor.empty(gpu, shape, { label, dtype }));
    const last = await empty("last rows", [1, batch, spec.dim]);
    const passes = new PagedPasses(model, owned, cache, options, {
      tokens: await empty("tokens", [maxStepTokens], "u32"),
      newest: await empty("newest tokens", [batch], "u32"),
      last,
      normed: await finalNormRows(owned, last),
      logits: await empty("logits", [batch, spec.vocabSize]),
      tensors: await blockTensors(gpu, owned, spec, maxStepTokens),
    });
    for (const [layer, { projections }] of model.blocks.entries()) {
      await passes.#largestRows(projections);
      for (const kind of ["decode", "mixed", "prefill"] as const) {
        await passes.#attention(kind, options.windowOf(layer));
      }
    }
    return passes;
  }

  /** All layers over so many tokens, or a few more: those that are too many belong to no sequence. */
  async layers(size: PassSize): Promise<Pass> {
    const numTokens = this.#roomFor(size.numTokens, this.tokens.length);
    const shape = { numTokens, kind: await this.#kindOf(size) };
    return await once(this.#passes, keyOf(shape), () => {
      const tensors = Object.fromEntries(
        Object.entries(this.#tensors).map(([name, tensor]) => [
          name,
          firstRows(tensor, [1, shape.numTokens, tensor.shape[2]]),
        ]),
      ) as unknown as BlockTensors;
      const { tokens, newest, cache, model } = this;
      const { newTokens } = cache.layers[0].buffers;
      const buffers = { tokens: tokens.buffer, newest: newest.buffer, newTokens };
      return bindLayers(model, {
        embed: (h) => model.embedding.bindRagged(buffers, h),
        attend: (layer, bound) => this.#attend(layer, shape, bound),
      }, tensors);
    });
  }

  /** Logits of the first rows of `last`, or a few more. */
  head(numRows: number): Promise<BoundWork> {
    const { last, logits, model } = this;
    const tensors = { h: last, normed: this.#normed, logits };
    const rows = this.#roomFor(numRows, logits.shape[0]);
    return once(this.#heads, rows, () => bindHead(model, tensors, rows));
  }

  async #attend(layer: number, shape: PassShape, tensors: NormedLayerTensors): Promise<BoundWork> {
    const { projections } = this.model.blocks[layer];
    const largest = await this.#largestRows(projections);
    const rows = Object.fromEntries(
      Object.entries(largest).map(([name, tensor]) => [
        name,
        firstRows(tensor, [shape.numTokens, ...tensor.shape.slice(1)]),
      ]),
    ) as unknown as AttentionRows;
    const cache = this.cache.layers[layer];
    const { q, k, v } = rows;
    const attention = await this.#attention(shape.kind, this.#options.windowOf(layer));
    const { tokens } = attention.plan.spec;
    const planned = (tensor: Tensor) => firstRows(tensor, [tokens!, ...tensor.shape.slice(1)]);
    const rotation = projections.rotationFor(cache);
    const attend = [
      cache.bindAppend({ k, v }),
      ...(cache.hasRope && !rotation ? [cache.bindRopeQueries(q)] : []),
      attention.bind({ q: planned(largest.q), cache, o: planned(largest.o) }),
    ];
    return await projections.bind(tensors, rows, attend, rotation);
  }

  /** Rows of the largest pass, which layers that are alike share. */
  #largestRows(projections: AttentionProjections): Promise<AttentionRows> {
    const { maxStepTokens } = this.#options;
    return once(
      this.#rows,
      projections.norms,
      () => projections.emptyRows(this.#owned, [maxStepTokens]),
    );
  }

  /**
   * Attention of decode steps, or of all others: each is planned for its largest step, so that a sequence gets the same bits
   * however many run beside it. Tiles without a token end at once.
   */
  #attention(kind: PassKind, window: number | undefined): Promise<Attention> {
    const { gpu, spec: { numHeads, scale, alibiSlopes } } = this.model;
    const { spec } = this.cache;
    const { maxStepTokens } = this.#options;
    const [tokens, seqLen] = kind === "decode" ? [spec.batch, 1] : [maxStepTokens, maxStepTokens];
    const options = { ...spec, numHeads, scale, alibiSlopes, window, tokens, seqLen };
    return once(this.#attentions, `${kind} ${window}`, async () => {
      if (kind !== "mixed") return this.#owned.keep(await Attention.create(gpu, options));
      const prefill = await this.#attention("prefill", window);
      const device = { limits: gpu.device.limits, profile: gpu.profile };
      const stored = withoutTextures(options, prefill.plan, device);
      return stored ? this.#owned.keep(await Attention.create(gpu, stored)) : prefill;
    });
  }

  /**
   * The kind of a pass: a prefill where as many tiles read each key, in the mean over sequences, as pay for a texture. The layers
   * with most tiles decide, of those that have textures.
   */
  async #kindOf({ numTokens, numSequences }: PassSize): Promise<PassKind> {
    if (numTokens === numSequences) return "decode";
    const windows = new Set(this.model.blocks.map((_, layer) => this.#options.windowOf(layer)));
    let mostTiles = 0;
    for (const window of windows) {
      const { plan } = await this.#attention("prefill", window);
      if (plan.impl !== "fused" || !plan.texels) continue;
      const tiles = numTokens * plan.groupSize / (numSequences * plan.rows * plan.rowGroups);
      mostTiles = Math.max(mostTiles, tiles);
    }
    return mostTiles < LEAST_TILES ? "mixed" : "prefill";
  }

  /**
   * A number of rows that is bound: few are, each at most a quarter above what it is for. On GPUs one row alone is computed in
   * another way, with other last bits: there a sequence that runs alone has a row beside it.
   */
  #roomFor(rows: number, most: number): number {
    const { isSoftware } = this.model.gpu.profile;
    const step = 2 ** Math.max(0, Math.floor(Math.log2(rows)) - 2);
    const least = isSoftware ? 1 : 2;
    return Math.min(Math.max(least, Math.ceil(rows / step) * step), most);
  }
}

/** What decides the order of a plan's sums, and so their bits. */
const ORDER: readonly (keyof FusedPlan)[] = [
  ...["rows", "rowGroups", "lanes", "keys", "sharers", "partners"] as const,
  ...["strips", "columns", "slices"] as const,
];

/**
 * The options of an attention that adds up in the order of `plan`, the plan of `options`, and reads keys where they lie; undefined
 * where there is none, or the plan has no textures.
 */
export function withoutTextures(
  options: AttentionSpec,
  plan: AttentionPlan,
  { limits, profile }: PlanDevice,
): AttentionSpec | undefined {
  if (plan.impl !== "fused" || !plan.texels) return undefined;
  const maxScratchBytes = Math.max(1, plan.scratchBytes - texelBytes(plan.texels));
  const changed = { ...options, maxScratchBytes };
  const stored = planAttention(changed, limits, profile);
  // Loads from storage bring more at once than those from textures: lanes may divide a value in another way.
  const isSame = stored.impl === "fused" && ORDER.every((name) => stored[name] === plan[name]);
  return isSame ? changed : undefined;
}

function keyOf({ numTokens, kind }: PassShape): string {
  return `${numTokens} ${kind}`;
}

/** The first rows of a tensor, in its own buffer. */
function firstRows({ gpu, buffer, dtype }: Tensor, shape: readonly number[]): Tensor {
  return Tensor.wrap(gpu, buffer, shape, dtype as "f32");
}
