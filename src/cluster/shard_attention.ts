/** The keys and values of a shard on its device, and attention over them. */
import { Attention } from "../attend/attention.ts";
import { RingKvCache } from "../cache/ring_kv_cache.ts";
import type { Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import { downloadTogether } from "../tensor/download.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { ShardState } from "./merge_states.ts";
import type { ShardSpec } from "./shard_spec.ts";

/** Attention over a shard for a number of queries, and what it writes. */
interface Run extends Pick<Attention, "encode"> {
  o: Tensor;
  lse: Tensor;
}

const EXTEND = "extend a shard";

/** A shard of every layer. */
export class ShardAttention {
  readonly #gpu: Gpu;
  readonly #spec: ShardSpec;
  readonly #owned: Owned;
  readonly #layers: readonly RingKvCache[];
  /** By the number of queries, and whether they are the last tokens. */
  readonly #runs = new Map<string, Promise<Run>>();

  private constructor(gpu: Gpu, spec: ShardSpec, owned: Owned, layers: readonly RingKvCache[]) {
    this.#gpu = gpu;
    this.#spec = spec;
    this.#owned = owned;
    this.#layers = layers;
  }

  /** Allocates `capacity` tokens for each layer. */
  static create(
    gpu: Gpu,
    spec: ShardSpec,
    { capacity, kvDtype }: { capacity: number; kvDtype: KvDtype },
  ): Promise<ShardAttention> {
    const { numKvHeads, headDim, valueDim } = spec;
    return Owned.make(async (owned) => {
      const layers = [];
      for (let layer = 0; layer < spec.layers; layer++) {
        const options = { numKvHeads, headDim, valueDim, capacity, kvDtype };
        layers.push(owned.keep(await RingKvCache.create(gpu, options)));
      }
      return new ShardAttention(gpu, spec, owned, layers);
    });
  }

  /** Tokens of a layer that there is room for. */
  get capacity(): number {
    return this.#layers[0].spec.capacity;
  }

  /** The tokens of a layer. */
  length(layer: number): number {
    return this.#layers[layer].length();
  }

  /** Keeps the first tokens of each layer. */
  async truncate(length: number): Promise<void> {
    await this.#submit((encoder) => {
      for (const layer of this.#layers) {
        if (length < layer.length()) layer.truncate(encoder, length);
      }
    });
  }

  /**
   * Appends tokens to a layer, then attends; undefined where there are no queries, or no tokens to attend to.
   *
   * @throws {RangeError} If the layer has no room for the tokens: nothing was appended.
   */
  async extend(
    layer: number,
    { appended, queries, isCausal }: { appended: number; queries: number; isCausal: boolean },
    { k, v, q }: { k: Float32Array; v: Float32Array; q: Float32Array },
  ): Promise<ShardState | undefined> {
    const { numHeads, numKvHeads, headDim, valueDim } = this.#spec;
    const cache = this.#layers[layer];
    return await Owned.use(async (owned) => {
      const upload = async (data: Float32Array, shape: readonly number[]) =>
        owned.keep(await Tensor.upload(this.#gpu, { data, shape }));
      if (appended > 0) {
        const tokens = {
          k: await upload(k, [1, appended, numKvHeads, headDim]),
          v: await upload(v, [1, appended, numKvHeads, valueDim]),
        };
        await this.#submit((encoder) => cache.append(encoder, tokens));
      }
      if (queries === 0 || cache.length() === 0) return undefined;
      const rows = await upload(q, [1, queries, numHeads, headDim]);
      const run = await this.#run(queries, isCausal);
      const { o, lse } = run;
      const [values, sums] = await downloadTogether(this.#gpu, [o, lse], {
        action: EXTEND,
        before: (encoder) => run.encode(encoder, { q: rows, cache, o, lse }),
      });
      return { o: values, lse: sums };
    });
  }

  /** Bytes of the keys and values that a layer has room for. */
  get layerBytes(): number {
    return this.#layers[0].bytes;
  }

  /** The bytes of a layer. */
  snapshot(layer: number): Promise<Uint8Array> {
    return this.#layers[layer].snapshot();
  }

  /**
   * Replaces a layer by its bytes.
   *
   * @throws {SnapshotError} If they are damaged, or of other storage: the layer is as it was.
   */
  restore(layer: number, snapshot: Uint8Array): Promise<void> {
    return this.#layers[layer].restore(snapshot);
  }

  /** Frees everything. */
  destroy(): void {
    this.#owned.destroy();
  }

  /** The attention of a number of queries, made when it is first asked for. */
  #run(queries: number, isCausal: boolean): Promise<Run> {
    const key = `${queries} ${isCausal}`;
    let run = this.#runs.get(key);
    if (!run) {
      run = this.#createRun(queries, isCausal);
      this.#runs.set(key, run);
      // What failed is tried again.
      run.catch(() => this.#runs.delete(key));
    }
    return run;
  }

  async #createRun(seqLen: number, causal: boolean): Promise<Run> {
    const { numHeads, valueDim, scale, softcap } = this.#spec;
    return await Owned.make(async (owned) => {
      const attention = owned.keep(
        await Attention.create(this.#gpu, {
          ...{ ...this.#layers[0].spec, numHeads, seqLen, causal, scale, softcap },
          outputs: ["lse"],
        }),
      );
      const rows = [1, seqLen, numHeads];
      const o = owned.keep(await Tensor.empty(this.#gpu, [...rows, valueDim]));
      const lse = owned.keep(await Tensor.empty(this.#gpu, rows));
      this.#owned.keep(owned);
      return { encode: (...work) => attention.encode(...work), o, lse };
    });
  }

  async #submit(encode: (encoder: GPUCommandEncoder) => void): Promise<void> {
    await this.#gpu.guard(EXTEND, () => {
      const encoder = this.#gpu.device.createCommandEncoder();
      encode(encoder);
      this.#gpu.device.queue.submit([encoder.finish()]);
    });
  }
}
