// @ts-check
/** One decode step of attention over a full cache, checked and timed. */
import { Attention, referenceRow, RingKvCache, Tensor } from "@onehead/attention";

/** @import { BoundWork, Gpu } from "@onehead/attention" */

/**
 * @typedef {object} Shape
 * @property {number} numHeads
 * @property {number} numKvHeads
 * @property {number} headDim
 * @property {number} contextLen
 * @property {"f32" | "f16"} dtype
 */

/** Tokens that are appended at a time: small steps, so that the page goes on. */
const CHUNK = 128;
const CHUNKS_PER_SUBMIT = 32;
/** A sample is long against the grain of clocks, and short against a frame or two. */
const SAMPLE_MS = { timestamps: 4, wall: 40 };
const MAX_REPEATS = 256;
const USAGE = { mapRead: 0x01, copySrc: 0x04, copyDst: 0x08, queryResolve: 0x200 };

export class DecodeStep {
  /** @type {{ destroy(): void }[]} */
  #made = [];
  #repeats = 1;

  /**
   * @param {Gpu} gpu
   * @param {Shape} shape
   */
  constructor(gpu, shape) {
    this.gpu = gpu;
    this.shape = shape;
  }

  /**
   * Allocates the cache, fills it and compiles the attention.
   *
   * @param {AbortSignal} signal
   */
  async prepare(signal) {
    const { gpu, shape } = this;
    const { numHeads, numKvHeads, headDim, contextLen, dtype } = shape;
    const cache = this.#keep(
      await RingKvCache.create(gpu, { numKvHeads, headDim, capacity: contextLen, dtype }),
    );
    this.chunk = { k: random(CHUNK, numKvHeads, headDim), v: random(CHUNK, numKvHeads, headDim) };
    this.q = random(1, numHeads, headDim);
    const [k, v, q, o] = await Promise.all([
      Tensor.upload(gpu, this.chunk.k, { dtype }),
      Tensor.upload(gpu, this.chunk.v, { dtype }),
      Tensor.upload(gpu, this.q, { dtype }),
      Tensor.empty(gpu, [1, 1, numHeads, headDim], { dtype }),
    ]);
    for (const tensor of [k, v, q, o]) this.#keep(tensor);
    this.o = o;
    const append = cache.bindAppend({ k, v });
    for (let filled = 0; filled < contextLen / CHUNK; filled += CHUNKS_PER_SUBMIT) {
      const encoder = gpu.device.createCommandEncoder();
      for (let i = filled; i < Math.min(filled + CHUNKS_PER_SUBMIT, contextLen / CHUNK); i++) {
        append.encode(encoder);
      }
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.settled();
      signal.throwIfAborted();
    }
    const attention = this.#keep(await Attention.create(gpu, { ...cache.spec, numHeads }));
    /** @type {BoundWork} */
    this.work = attention.bind({ q, cache, o });
    signal.throwIfAborted();
  }

  /** The largest difference of a head's output from the float64 reference. */
  async error() {
    const { gpu, shape: { numHeads, numKvHeads, headDim, contextLen } } = this;
    const encoder = gpu.device.createCommandEncoder();
    this.work?.encode(encoder);
    gpu.device.queue.submit([encoder.finish()]);
    const o = await this.o?.download();
    if (!o || !this.chunk || !this.q) throw new Error("prepare() comes first");

    const head = Math.floor(Math.random() * numHeads);
    const kvHead = Math.floor(head / (numHeads / numKvHeads));
    const { k, v } = this.chunk;
    const shape = [1, contextLen, 1, headDim];
    const row = referenceRow({
      q: {
        data: this.q.data.subarray(head * headDim, (head + 1) * headDim),
        shape: [1, 1, 1, headDim],
      },
      k: { data: ofHead(k.data, { kvHead, numKvHeads, headDim, contextLen }), shape },
      v: { data: ofHead(v.data, { kvHead, numKvHeads, headDim, contextLen }), shape },
    }, { batch: 0, head: 0, token: 0 });
    return row.o.reduce((worst, x, i) => Math.max(worst, Math.abs(x - o[head * headDim + i])), 0);
  }

  /** Milliseconds of one step, by the GPU's clock if it has one. */
  async sample() {
    const isStamped = this.gpu.features.timestamps;
    const wanted = SAMPLE_MS[isStamped ? "timestamps" : "wall"];
    for (;;) {
      const ms = isStamped ? await this.#stamped() : await this.#waited();
      const repeats = this.#repeats;
      const better = Math.ceil(repeats * wanted / Math.max(ms, wanted / 16));
      this.#repeats = Math.min(MAX_REPEATS, Math.max(repeats, better));
      // Too short for the clock: again, with more.
      if (this.#repeats <= 2 * repeats && ms > 0) return ms / repeats;
      if (repeats === MAX_REPEATS) return Math.max(ms, 1e-3) / repeats;
    }
  }

  destroy() {
    for (const made of this.#made.splice(0)) made.destroy();
  }

  /**
   * @template {{ destroy(): void }} Kind
   * @param {Kind} made
   * @returns {Kind}
   */
  #keep(made) {
    this.#made.push(made);
    return made;
  }

  /**
   * @param {GPUCommandEncoder} encoder
   * @param {GPUComputePassDescriptor} [descriptor]
   */
  #encode(encoder, descriptor) {
    const pass = encoder.beginComputePass(descriptor);
    for (let i = 0; i < this.#repeats; i++) this.work?.encode(pass);
    pass.end();
  }

  async #waited() {
    const { gpu } = this;
    const encoder = gpu.device.createCommandEncoder();
    this.#encode(encoder);
    const start = performance.now();
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled();
    return performance.now() - start;
  }

  async #stamped() {
    const { device } = this.gpu;
    const querySet = device.createQuerySet({ type: "timestamp", count: 2 });
    const resolved = device.createBuffer({ size: 16, usage: USAGE.queryResolve | USAGE.copySrc });
    const read = device.createBuffer({ size: 16, usage: USAGE.mapRead | USAGE.copyDst });
    try {
      const encoder = device.createCommandEncoder();
      this.#encode(encoder, {
        timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
      });
      encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, read, 0, 16);
      device.queue.submit([encoder.finish()]);
      await this.gpu.waitFor(read.mapAsync(1));
      const [start, end] = new BigUint64Array(read.getMappedRange());
      return Number(end - start) / 1e6;
    } finally {
      for (const made of [querySet, resolved, read]) made.destroy();
    }
  }
}

/**
 * Numbers in [-1, 1] that f16 holds as well as f32.
 *
 * @param {number} tokens
 * @param {number} heads
 * @param {number} size
 */
function random(tokens, heads, size) {
  const data = new Float32Array(tokens * heads * size);
  for (let i = 0; i < data.length; i++) data[i] = Math.round(Math.random() * 256) / 128 - 1;
  return { data, shape: [1, tokens, heads, size] };
}

/**
 * What a KV head holds of the whole context [contextLen, headDim], in which the chunk comes again and again.
 *
 * @param {Float32Array} chunk
 * @param {{ kvHead: number, numKvHeads: number, headDim: number, contextLen: number }} of
 */
function ofHead(chunk, { kvHead, numKvHeads, headDim, contextLen }) {
  const data = new Float32Array(contextLen * headDim);
  for (let token = 0; token < contextLen; token++) {
    const first = ((token % CHUNK) * numKvHeads + kvHead) * headDim;
    data.set(chunk.subarray(first, first + headDim), token * headDim);
  }
  return data;
}
