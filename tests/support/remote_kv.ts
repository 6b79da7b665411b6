// Keys and values on the host, with attention in float64: what a decoder of remote ones is tested by.
import { referenceAttention } from "../../mod.ts";
import type { RemoteKv, RemoteKvSpec, RemoteTokens } from "../../src/model/mod.ts";

/** Keys and values in arrays. */
export class HostKv implements RemoteKv {
  /** Set where the next `extend` fails. */
  failure: Error | undefined;
  #layers: { k: number[]; v: number[] }[] = [];

  constructor(readonly spec: RemoteKvSpec, readonly capacity = 64) {
    this.#clear();
  }

  length(layer = 0): number {
    return this.#layers[layer].k.length / this.#keys;
  }

  extend(layer: number, { k, v, q = new Float32Array(0) }: RemoteTokens): Promise<Float32Array> {
    if (this.failure) return Promise.reject(this.failure);
    const { numHeads, numKvHeads, headDim, valueDim, scale, softcap } = this.spec;
    const kept = this.#layers[layer];
    kept.k.push(...k);
    kept.v.push(...v);
    if (q.length === 0) return Promise.resolve(q);
    const [tokens, queries] = [this.length(layer), q.length / numHeads / headDim];
    const { o } = referenceAttention({
      q: { data: q, shape: [1, queries, numHeads, headDim] },
      k: { data: kept.k, shape: [1, tokens, numKvHeads, headDim] },
      v: { data: kept.v, shape: [1, tokens, numKvHeads, valueDim] },
    }, { scale, softcap });
    return Promise.resolve(Float32Array.from(o));
  }

  truncate(length: number): Promise<void> {
    for (const { k, v } of this.#layers) {
      k.length = length * this.#keys;
      v.length = length * this.#values;
    }
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.failure = undefined;
    this.#clear();
    return Promise.resolve();
  }

  get #keys(): number {
    return this.spec.numKvHeads * this.spec.headDim;
  }

  get #values(): number {
    return this.spec.numKvHeads * this.spec.valueDim;
  }

  #clear(): void {
    this.#layers = Array.from({ length: this.spec.layers }, () => ({ k: [], v: [] }));
  }
}
