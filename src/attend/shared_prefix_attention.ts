import { checkObject, sentence } from "../base/check.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { shapeIn } from "../tensor/layout.ts";
import type { ContiguousKv } from "../cache/contiguous_kv.ts";
import { Attention } from "./attention.ts";
import type { CachedKv } from "./attention_tensors.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { MergeStates } from "./merge_states.ts";
import { type AttentionSpec, type FilledSpec, fillIn } from "../plan/spec.ts";
import { checkTensor, Tensor } from "../tensor/tensor.ts";

/** Shapes and options of an attention to a shared prefix: those of attention to the suffixes, and the prefix. */
export interface SharedPrefixSpec extends AttentionSpec {
  /** The prefix: `cache.spec` of a cache of one sequence, or its tokens, axes and element type (by default the suffixes'). */
  prefix: Pick<
    AttentionSpec,
    "capacity" | "kvLayout" | "kvDtype" | "kvCalibrated" | "kvRotation" | "sinks"
  >;
}

/** The tensors of {@linkcode SharedPrefixAttention.encode}; all of them are the caller's. */
export interface SharedPrefixTensors {
  /** Queries [B, S, N, headDim] (or [B, N, S, headDim]). */
  q: Tensor;
  /** Keys and values that come before those of every sequence, of batch 1. */
  prefix: (ContiguousKv & { cache?: undefined }) | CachedKv;
  /** Keys and values of each sequence, of batch B. */
  suffix: (ContiguousKv & { cache?: undefined }) | CachedKv;
  /** The mask over the suffixes, in the planned shape, `"bool"`. */
  mask?: Tensor;
  /** Output [B, S, N, valueDim] (or [B, N, S, valueDim]), written. */
  o: Tensor;
  /** Log-sum-exp [B, S, N] (or [B, N, S]), f32, written. */
  lse: Tensor;
}

const ACTION = "share a prefix";

/**
 * Attention of a batch to one shared prefix and to a suffix of each sequence, reading the prefix once for all of them.
 *
 * The queries of all sequences are taken for tokens of one sequence, so that a loaded key or value of the prefix serves the
 * whole batch; a second pass attends to the suffixes, and both are merged ({@linkcode MergeStates}). Hydragen (Juravsky et
 * al. 2024, arXiv 2402.05099), cascade attention (FlashInfer).
 *
 * @example Three continuations of one prompt
 * ```ts
 * import { Gpu, RingKvCache, SharedPrefixAttention, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const shape = { numKvHeads: 1, headDim: 16, capacity: 64 };
 * const prefix = await RingKvCache.create(gpu, shape);
 * const suffix = await RingKvCache.create(gpu, { ...shape, batch: 3 });
 * const attention = await SharedPrefixAttention.create(gpu, {
 *   ...suffix.spec,
 *   numHeads: 4,
 *   prefix: prefix.spec,
 * });
 * const random = async (...shape: number[]) => {
 *   const data = Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random);
 *   return await Tensor.upload(gpu, { data, shape });
 * };
 * const prompt = await random(1, 40, 1, 16);
 * const token = await random(3, 1, 1, 16);
 * const q = await random(3, 1, 4, 16);
 * const o = await Tensor.empty(gpu, [3, 1, 4, 16]);
 * const lse = await Tensor.empty(gpu, [3, 1, 4]);
 *
 * const encoder = gpu.device.createCommandEncoder();
 * prefix.append(encoder, { k: prompt, v: prompt });
 * suffix.append(encoder, { k: token, v: token });
 * attention.encode(encoder, { q, prefix: { cache: prefix }, suffix: { cache: suffix }, o, lse });
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log((await o.download()).length); // 192
 * gpu.destroy();
 * ```
 */
export class SharedPrefixAttention {
  /** Where it runs. */
  readonly gpu: Gpu;

  readonly #owned: Owned;
  readonly #spec: FilledSpec;
  readonly #prefix: Attention;
  readonly #suffix: Attention;
  readonly #merge: MergeStates;
  /** Attention to the suffixes, before it is merged. */
  readonly #suffixState: { o: Tensor; lse: Tensor };

  private constructor(
    gpu: Gpu,
    spec: FilledSpec,
    made: {
      owned: Owned;
      prefix: Attention;
      suffix: Attention;
      merge: MergeStates;
      suffixState: { o: Tensor; lse: Tensor };
    },
  ) {
    this.gpu = gpu;
    this.#owned = made.owned;
    this.#spec = spec;
    this.#prefix = made.prefix;
    this.#suffix = made.suffix;
    this.#merge = made.merge;
    this.#suffixState = made.suffixState;
  }

  /**
   * Plans, compiles what is not compiled yet, and allocates the scratch.
   *
   * @param gpu Where to run.
   * @param spec Shapes and options: `{ ...suffix.spec, numHeads, prefix: prefix.spec }` for caches.
   * @returns The attention. Destroy it with {@linkcode SharedPrefixAttention.destroy}.
   * @throws {TypeError} If a value is of the wrong kind, or an option is asked for that depends on how far a query is from
   * the prefix (windows, ALiBi, bias, functions of scores, another alignment), or `outputs`, of which the log-sum-exp is
   * always there.
   * @throws {RangeError} If a value is out of range, or as `Attention.create`.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   *
   * @example Over contiguous keys and values
   * ```ts
   * import { Gpu, SharedPrefixAttention } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const attention = await SharedPrefixAttention.create(gpu, {
   *   ...{ batch: 3, numHeads: 4, numKvHeads: 1, headDim: 16 },
   *   capacity: 8, // tokens of each suffix
   *   prefix: { capacity: 40 },
   * });
   * attention.destroy();
   * gpu.destroy();
   * ```
   */
  static async create(gpu: Gpu, spec: SharedPrefixSpec): Promise<SharedPrefixAttention> {
    checkGpu(ACTION, gpu);
    checkObject(ACTION, "spec", spec);
    const { prefix, ...suffix } = spec;
    const filled = fillIn({ ...suffix, outputs: ["lse"] });
    checkSpec(filled, suffix);
    const { batch, numHeads, numKvHeads, headDim, valueDim, seqLen, dtype, layout } = filled;
    const { scale, softcap, maxScratchBytes, arithmetic, impl, valuesAre } = filled;
    return await Owned.make(async (owned) => {
      const prefixAttention = owned.keep(
        await Attention.create(gpu, {
          ...{ numHeads, numKvHeads, headDim, valueDim, scale, softcap, dtype, arithmetic },
          ...{ maxScratchBytes, impl, outputs: ["lse"], causal: false, valuesAre },
          seqLen: batch * seqLen,
          capacity: prefix?.capacity,
          kvLayout: prefix?.kvLayout ?? filled.kvLayout,
          kvDtype: prefix?.kvDtype ?? filled.kvDtype,
          kvCalibrated: prefix?.kvCalibrated,
          kvRotation: prefix?.kvRotation,
          sinks: prefix?.sinks,
        }),
      );
      const suffixAttention = owned.keep(await Attention.create(gpu, filled));
      const shape = shapeIn(layout, batch, numHeads, seqLen, valueDim);
      const merge = owned.keep(await MergeStates.create(gpu, { shape, dtype }));
      const o = owned.keep(await Tensor.empty(gpu, shape, { dtype, label: "o of suffixes" }));
      const lse = owned.keep(
        await Tensor.empty(gpu, shape.slice(0, -1), { label: "lse of suffixes" }),
      );
      return new SharedPrefixAttention(gpu, filled, {
        ...{ owned, prefix: prefixAttention, suffix: suffixAttention, merge },
        suffixState: { o, lse },
      });
    });
  }

  /**
   * Encodes the attention: to the prefix, to the suffixes, and the merge.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tensors What to read and write.
   * @throws {TypeError} As `Attention.encode`.
   * @throws {RangeError} As `Attention.encode`.
   *
   * @example Suffixes of different lengths
   * ```ts
   * import { Gpu, SharedPrefixAttention, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const shape = { batch: 2, numHeads: 4, numKvHeads: 1, headDim: 4 };
   * const attention = await SharedPrefixAttention.create(gpu, {
   *   ...{ ...shape, capacity: 3, prefix: { capacity: 5 } },
   * });
   * const empty = (...shape: number[]) => Tensor.empty(gpu, shape);
   * const prefix = { k: await empty(1, 5, 1, 4), v: await empty(1, 5, 1, 4) };
   * const lengths = await Tensor.upload(gpu, { data: [3, 1], shape: [2] }, { dtype: "u32" });
   * const suffix = { k: await empty(2, 3, 1, 4), v: await empty(2, 3, 1, 4), lengths };
   * const [q, o, lse] = [await empty(2, 1, 4, 4), await empty(2, 1, 4, 4), await empty(2, 1, 4)];
   *
   * const encoder = gpu.device.createCommandEncoder();
   * attention.encode(encoder, { q, prefix, suffix, o, lse });
   * gpu.device.queue.submit([encoder.finish()]);
   * console.log(await lse.download()); // log(8) in the first sequence, log(6) in the second
   * gpu.destroy();
   * ```
   */
  encode(target: GPUCommandEncoder | GPUComputePassEncoder, tensors: SharedPrefixTensors): void {
    this.bind(tensors).encode(target);
  }

  /**
   * Checks and binds the tensors of a loop once: see {@linkcode SharedPrefixAttention.encode}.
   *
   * @param tensors What each encoding reads and writes. They and the attention must outlive what is returned.
   * @returns The attention over these tensors, to be encoded as often as one likes.
   * @throws {TypeError} As `Attention.bind`.
   * @throws {RangeError} As `Attention.bind`.
   */
  bind(tensors: SharedPrefixTensors): BoundWork {
    checkObject(ACTION, "tensors", tensors);
    const { gpu } = this;
    const { q, o, lse, prefix, suffix, mask } = tensors;
    const { batch, numHeads, seqLen, headDim, valueDim, dtype, layout } = this.#spec;
    const check = (name: string, tensor: Tensor, shape: number[], type = dtype) =>
      checkTensor(ACTION, name, tensor, { gpu, shape, dtype: type });
    const oShape = shapeIn(layout, batch, numHeads, seqLen, valueDim);
    check("q", q, shapeIn(layout, batch, numHeads, seqLen, headDim));
    check("o", o, oShape);
    check("lse", lse, oShape.slice(0, -1), "f32");
    const asOneSequence = ({ buffer, dtype }: Tensor, ...size: number[]) =>
      Tensor.wrap(gpu, buffer, [1, batch * seqLen, numHeads, ...size], dtype);
    return inSequence([
      this.#prefix.bind({
        ...prefix,
        q: asOneSequence(q, headDim),
        o: asOneSequence(o, valueDim),
        lse: asOneSequence(lse),
      }),
      this.#suffix.bind({ ...suffix, q, mask, ...this.#suffixState }),
      this.#merge.bind([{ o, lse }, this.#suffixState], { o, lse }),
    ]);
  }

  /** Frees the scratch. */
  destroy(): void {
    this.#owned.destroy();
  }
}

function checkSpec(filled: FilledSpec, given: AttentionSpec): void {
  const { window, windowRight, alibiSlopes, bias, scoreMod, maskMod, tokens } = filled;
  const { alignment, layout, seqLen } = filled;
  const fromPrefix = { window, windowRight, alibiSlopes, bias, scoreMod, maskMod, tokens };
  const asked = Object.entries(fromPrefix).filter(([, value]) => value !== undefined);
  if (asked.length > 0 || alignment !== "bottom-right" || (given.outputs ?? []).length > 0) {
    throw new TypeError(
      sentence(
        ACTION,
        "windows, alibiSlopes, bias, scoreMod, maskMod, tokens, alignment and outputs are not for shared prefixes (attend twice and merge)",
        { ...Object.fromEntries(asked), alignment, outputs: given.outputs ?? [] },
      ),
    );
  }
  if (layout === "BNSH" && seqLen > 1) {
    throw new RangeError(
      sentence(ACTION, 'several tokens of a batch must lie in layout "BSNH"', { layout, seqLen }),
    );
  }
}
