import {
  type HostTensor,
  type Layout,
  referenceAttention,
  type RingKvCache,
  type RopeOptions,
  type SequencePair,
} from "../../mod.ts";
import { isAsymmetric } from "../../src/cache/kv_transform.ts";
import { tensorsOf } from "../../src/cache/kv_memory.ts";
import { storedRows } from "../../src/cache/kv_shape.ts";
import { ropedRow } from "../../src/reference/rope.ts";
import { assertClose, assertSame } from "./compare.ts";
import { sharedGpu } from "./gpu.ts";
import { ropedTensor } from "./rope.ts";
import { shapeOf, submit, swapLayout } from "./run.ts";

/** Keys and values of one token, [numKvHeads][...]. */
interface Token {
  k: number[][];
  v: number[][];
}

/** Everything that was ever appended to a cache, kept on the host: what the cache and attention over it must agree with. */
export class Transcript {
  readonly #cache: RingKvCache;
  readonly #rope: RopeOptions | undefined;
  readonly #sequences: Token[][];
  /** What the slots of K and V hold, by sequence and slot. */
  readonly #slots: (Token | undefined)[][];
  /** Positions of the oldest tokens that were never overwritten. */
  readonly #oldest: number[];

  constructor(cache: RingKvCache, rope?: RopeOptions) {
    this.#cache = cache;
    this.#rope = rope;
    const { batch, capacity } = cache.spec;
    this.#sequences = Array.from({ length: batch }, () => []);
    this.#slots = Array.from({ length: batch }, () => new Array(capacity).fill(undefined));
    this.#oldest = new Array(batch).fill(0);
  }

  /** Values are none where they are keys. */
  append(k: HostTensor, v?: HostTensor, lengths?: readonly number[]): void {
    const { layout, batch, numKvHeads, capacity, sinks, valueDim } = this.#cache.spec;
    const numTokens = k.shape[layout === "BSNH" ? 1 : 2];
    for (let b = 0; b < batch; b++) {
      for (let t = 0; t < (lengths?.[b] ?? numTokens); t++) {
        const heads = Array.from({ length: numKvHeads }, (_, head) => [b, head, t] as const);
        const position = this.#sequences[b].length;
        const keys = heads.map((at) => this.#rotated(rowAt(k, layout, at), position));
        const token: Token = {
          k: keys,
          v: v
            ? heads.map((at) => rowAt(v, layout, at))
            : keys.map((key) => key.slice(0, valueDim)),
        };
        this.#slots[b][slotOf(position, { capacity, sinks })] = token;
        this.#sequences[b].push(token);
      }
      const { length } = this.#sequences[b];
      const overwritten = length > capacity ? length - (capacity - sinks) : 0;
      this.#oldest[b] = Math.max(this.#oldest[b], overwritten);
    }
  }

  #rotated(row: number[], position: number): number[] {
    return this.#rope ? ropedRow(row, position, this.#rope) : row;
  }

  clear(sequence?: number): void {
    this.#sequences.forEach((tokens, b) => {
      if (sequence !== undefined && sequence !== b) return;
      tokens.length = 0;
      this.#oldest[b] = 0;
    });
  }

  truncate(length: number, sequence: number): void {
    this.#sequences[sequence].length = length;
    // Sinks are never overwritten: what is left is as it was before the ring wrapped.
    if (length <= this.#cache.spec.sinks) this.#oldest[sequence] = 0;
  }

  fork({ from, to }: SequencePair): void {
    this.#sequences[to] = [...this.#sequences[from]];
    this.#slots[to] = [...this.#slots[from]];
    this.#oldest[to] = this.#oldest[from];
  }

  /** A restored cache has zeros in the slots that no token was stored in. */
  forgetUnstored(): void {
    const { numKvHeads, headDim, valueDim } = this.#cache.spec;
    const zeros = (size: number) =>
      Array.from({ length: numKvHeads }, () => new Array<number>(size).fill(0));
    this.#slots.forEach((slots, b) => {
      slots.fill({ k: zeros(headDim), v: zeros(valueDim) }, this.#sequences[b].length);
    });
  }

  /** Forgets what lies in the slots of a cache that was cleared and poisoned. */
  forgetSlots(): void {
    for (const slots of this.#slots) slots.fill(undefined);
  }

  /** The least length that a sequence can be rolled back to, so that the next token sees its window. */
  leastLength(sequence: number): number {
    const oldest = this.#oldest[sequence];
    return oldest === 0 ? 0 : oldest + this.#cache.spec.window! - 1;
  }

  /** How many of the last tokens of every sequence still have all that they see, at most `seqLen`. */
  intactQueries(seqLen: number): number {
    const { window = Infinity } = this.#cache.spec;
    const intact = this.#sequences.map(({ length }, b) =>
      this.#oldest[b] === 0 ? seqLen : length - window - this.#oldest[b] + 1
    );
    return Math.max(0, Math.min(seqLen, ...intact));
  }

  /** Tokens per sequence. */
  get lengths(): number[] {
    return this.#sequences.map((tokens) => tokens.length);
  }

  /** Attention of q over all that was appended, sequence by sequence, as if nothing were ever overwritten. */
  attend(queries: HostTensor, window?: number): Float64Array {
    const { layout, batch, valueDim, sinks } = this.#cache.spec;
    const q = this.#rotatedQueries(queries);
    const rowSize = q.data.length / batch;
    const oSize = rowSize / q.shape[3] * valueDim;
    const o = new Float64Array(oSize * batch);
    this.#sequences.forEach((tokens, b) => {
      if (tokens.length === 0) return;
      const data = Array.prototype.slice.call(q.data, b * rowSize, (b + 1) * rowSize);
      const inputs = {
        q: { data, shape: q.shape.with(0, 1) },
        k: tensorOf(tokens.map(({ k }) => k), layout),
        v: tensorOf(tokens.map(({ v }) => v), layout),
      };
      o.set(referenceAttention(inputs, { window, sinks, layout }).o, b * oSize);
    });
    return o;
  }

  /** Queries at the positions of the last tokens of their sequences. */
  #rotatedQueries(q: HostTensor): HostTensor {
    if (!this.#rope) return q;
    const isBsnh = this.#cache.spec.layout === "BSNH";
    const seqLen = q.shape[isBsnh ? 1 : 2];
    return ropedTensor(
      q,
      ([b, outer, inner]) => this.lengths[b] - seqLen + (isBsnh ? outer : inner),
      this.#rope,
    );
  }

  /**
   * Checks the lengths and every slot of K and V, to the bit where nothing is computed; what nobody wrote must be the NaN of
   * `poison` still.
   */
  async check(): Promise<void> {
    const { numKvHeads, kvDtype } = this.#cache.spec;
    const rotated = kvDtype === "f16" ? 1e-3 : 1e-6;
    const lengths = this.lengths;
    assertSame(lengths.map((_, b) => this.#cache.length(b)), lengths, "lengths on the host");
    assertSame(await downloadU32(this.#cache.lengthsBuffer), lengths, "lengths on the device");
    for (const [name, size] of storedRows(this.#cache.spec)) {
      const expected = this.#slots.flatMap((slots) =>
        Array.from(
          { length: numKvHeads },
          (_, head) =>
            slots.flatMap((token) => token?.[name][head] ?? new Array(size).fill(UNWRITTEN)),
        ).flat()
      );
      const actual = (await downloadKv(this.#cache, name)).map((x) => isNaN(x) ? UNWRITTEN : x);
      const tolerance = this.#rope && name === "k" ? rotated : 0;
      assertClose(actual, expected, tolerance, `slots of ${name}`);
    }
  }
}

/** Where a ring keeps a token. */
export function slotOf(
  token: number,
  { capacity, sinks }: { capacity: number; sinks: number },
): number {
  return token < sinks ? token : sinks + (token - sinks) % (capacity - sinks);
}

/** Stands for NaN, which equals nothing; far from every number that is appended. */
const UNWRITTEN = 12345;

/** Fills the slots of a cache with NaN: an attention that reads one that nobody wrote shows it. */
export function poison(cache: RingKvCache): void {
  const { queue } = cache.gpu.device;
  for (const { buffer } of tensorsOf(cache.parts)) {
    queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0xff));
  }
}

/** Reads the keys or values of all parts, [B, numKvHeads, capacity, ...], as they are stored. */
export async function downloadKv(cache: RingKvCache, name: "k" | "v"): Promise<Float32Array> {
  const parts = await Promise.all(
    cache.parts.map(async ({ [name]: tensor }) =>
      isAsymmetric(cache.spec)
        ? asymmetricNumbers(await downloadU32(tensor!.buffer), tensor!.shape.at(-1)!)
        : await tensor!.download()
    ),
  );
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

/** The numbers of rows of four bits, each a word of its step and its grid's least number, then words of eight integers. */
function asymmetricNumbers(words: Uint32Array, size: number): number[] {
  const bits = new DataView(new ArrayBuffer(4));
  const floatOf = (word: number) => {
    bits.setUint32(0, word);
    return bits.getFloat32(0);
  };
  const wordsOfRow = 1 + Math.ceil(size / 8);
  return Array.from({ length: words.length / wordsOfRow }, (_, row) => {
    const [head, ...integers] = words.subarray(row * wordsOfRow, (row + 1) * wordsOfRow);
    const [step, least] = [floatOf((head & 0xffff0000) >>> 0), floatOf((head << 16) >>> 0)];
    return Array.from({ length: size }, (_, h) => {
      // From -8 to 7, with a sign.
      const n = integers[Math.floor(h / 8)] << (28 - h % 8 * 4) >> 28;
      return least + step * (n + 8);
    });
  }).flat();
}

/**
 * Reads the keys or values of all tokens, [B, S, numKvHeads, ...], zero where they are overwritten. All sequences have the
 * same length.
 */
export async function downloadTokens(cache: RingKvCache, name: "k" | "v"): Promise<HostTensor> {
  const { batch, numKvHeads, headDim, valueDim, capacity, sinks } = cache.spec;
  const size = name === "k" ? headDim : valueDim;
  const length = cache.length();
  const { data } = swapLayout({
    data: await downloadKv(cache, name),
    shape: [batch, numKvHeads, capacity, size],
  });
  const perToken = numKvHeads * size;
  const tokens = new Float32Array(batch * length * perToken);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < length; t++) {
      if (t >= sinks && t < length - (capacity - sinks)) continue;
      const from = (b * capacity + slotOf(t, cache.spec)) * perToken;
      tokens.set(data.subarray(from, from + perToken), (b * length + t) * perToken);
    }
  }
  return { data: tokens, shape: [batch, length, numKvHeads, size] };
}

/** Reads a buffer of u32. */
export async function downloadU32(buffer: GPUBuffer): Promise<Uint32Array> {
  const { device } = await sharedGpu();
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = device.createBuffer({ size: buffer.size, usage });
  await submit((encoder) => encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size));
  await staging.mapAsync(GPUMapMode.READ);
  const values = new Uint32Array(staging.getMappedRange()).slice();
  staging.destroy();
  return values;
}

function rowAt(
  { data, shape }: HostTensor,
  layout: Layout,
  [b, head, t]: readonly [number, number, number],
): number[] {
  const [outer, inner] = layout === "BSNH" ? [t, head] : [head, t];
  const row = (b * shape[1] + outer) * shape[2] + inner;
  return Array.from({ length: shape[3] }, (_, h) => data[row * shape[3] + h]);
}

/** A batch of one. */
function tensorOf(tokens: number[][][], layout: Layout): HostTensor {
  const [heads, size] = [tokens[0].length, tokens[0][0].length];
  const shape = shapeOf(layout, { batch: 1, heads, tokens: tokens.length, size });
  const data = layout === "BSNH"
    ? tokens.flat(2)
    : tokens[0].flatMap((_, head) => tokens.flatMap((token) => token[head]));
  return { data, shape };
}
