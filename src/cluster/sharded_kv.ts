/** The keys and values of a context on many machines, and attention over all of them. */
import { checkChoice, checkFunction, checkInteger, checkObject, sentence } from "../base/check.ts";
import { Turns } from "../base/turns.ts";
import type { RemoteKv, RemoteTokens } from "../model/remote_kv.ts";
import { type Dtype, DTYPES } from "../tensor/dtype.ts";
import { checkCluster, type Cluster, MAX_BYTES, mostOf } from "./cluster.ts";
import { ShardLostError } from "./errors.ts";
import { mergeOutputs } from "./merge_states.ts";
import { decodeJson, encodeJson } from "./message.ts";
import { checkPatience, type Patience } from "./next_message.ts";
import { PartialSnapshot } from "./partial_snapshot.ts";
import { capacityOf, lengthOfShard, pageChunks, shardAt } from "./shard_layout.ts";
import {
  decodeWords,
  encodeNumbers,
  encodeShard,
  encodeWords,
  HEADER_BYTES,
  PART_BYTES,
  readRoom,
  readState,
  type ShardHeader,
} from "./shard_message.ts";
import { type AskCopy, ShardPeer, type ShardQuestion } from "./shard_peer.ts";
import { copyShardSpec, type ShardSpec } from "./shard_spec.ts";
import { shardSubject } from "./shard_worker.ts";
import { openContext, packContext } from "./sharded_snapshot.ts";

/** Options of {@linkcode ShardedKv.open}. */
export interface ShardedKvOptions extends ShardSpec, Patience {
  /** The context's name, as its shards have it. */
  name: string;
  /** Copies of each shard: with 2, a context outlives the loss of a worker of each. The default is 1. */
  copies?: number;
  /** Element type of queries, keys, values and outputs on the wire. The default is `"f32"`. */
  dtype?: Dtype;
  /** Most bytes of a message. The default is 1 MiB. */
  maxBytes?: number;
  /** Told, in a sentence, that a copy was lost while another one goes on. The default is `console.warn`. */
  warn?: (sentence: string) => void;
}

const OPEN = "open a sharded context";
const EXTEND = "extend a sharded context";
/** More copies of a shard than anyone starts: each is asked for. */
const MOST_COPIES = 1024;

/**
 * A context of one sequence whose tokens are divided among shards: `ShardWorker`s on machines of their own. New keys and values
 * go to the shard that their position belongs to, queries to all; each answers with its output and log-sum-exp, which
 * make one attention, as {@linkcode MergeStates} merges them on a device. All shards of a layer answer in one round.
 *
 * @example
 * ```ts
 * import { type Cluster, ShardedKv } from "@onehead/attention/cluster";
 *
 * async function attendOnce(cluster: Cluster) {
 *   const shape = { layers: 1, numHeads: 8, numKvHeads: 1, headDim: 64, valueDim: 64 };
 *   const kv = await ShardedKv.open(cluster, { ...shape, name: "book", shards: 2, page: 256 });
 *   const ones = (length: number) => new Float32Array(length).fill(1);
 *   const o = await kv.extend(0, { k: ones(3 * 64), v: ones(3 * 64), q: ones(3 * 8 * 64) });
 *   console.log(o.length, o[0]); // 1536 1
 *   return o;
 * }
 * console.log(typeof attendOnce); // ShardWorker has the shards of this example
 * ```
 */
export class ShardedKv implements RemoteKv {
  readonly #cluster: Cluster;
  readonly #options: ShardedKvOptions;
  /** What it shares with its shards. */
  readonly spec: ShardSpec;
  readonly #lengths: number[];
  readonly #turns = new Turns();
  #shards: readonly ShardPeer[] = [];
  #capacity = 0;
  #session = 0;
  /** Why the context cannot be used until it is cleared. */
  #fault: Error | undefined;

  private constructor(cluster: Cluster, options: ShardedKvOptions, spec: ShardSpec) {
    this.#cluster = cluster;
    this.#options = options;
    this.spec = Object.freeze(spec);
    this.#lengths = Array(spec.layers).fill(0);
  }

  /**
   * Finds the shards, and empties them.
   *
   * @param cluster Where the shards are.
   * @param options The specification that the shards were started with.
   * @throws {ShardLostError} If a shard does not answer; the message names it.
   * @throws {RangeError} If a shard was started with another specification, or a message cannot hold one token.
   */
  static async open(cluster: Cluster, options: ShardedKvOptions): Promise<ShardedKv> {
    checkCluster(OPEN, cluster);
    const spec = copyShardSpec(OPEN, options);
    const { copies = 1, dtype = "f32", maxBytes = MAX_BYTES, warn = console.warn } = options;
    checkInteger(OPEN, "copies", copies, 1, MOST_COPIES);
    checkChoice(OPEN, "dtype", dtype, DTYPES);
    checkInteger(OPEN, "maxBytes", maxBytes);
    checkFunction(OPEN, "warn", warn);
    checkPatience(OPEN, options);
    const kv = new ShardedKv(cluster, { ...options }, spec);
    checkInteger(OPEN, "tokens of a message", kv.#mostTokens(true));
    await kv.clear();
    return kv;
  }

  /** Tokens of a layer that the shards have room for. */
  get capacity(): number {
    return this.#capacity;
  }

  /**
   * The tokens of a layer.
   *
   * @param layer Index of the layer. The default is 0.
   * @returns Tokens that were appended and not forgotten.
   */
  length(layer = 0): number {
    this.#checkLayer("read the length of a sharded context", layer);
    return this.#lengths[layer];
  }

  /**
   * Appends tokens to a layer, and attends with their queries: each sees all tokens up to its own. It takes a round for each page
   * that the tokens lie on. Calls are done one after the other; arrays are the callee's until it is done.
   *
   * @param layer Index of the layer.
   * @param tokens Their keys and values, and their queries where outputs are wanted.
   * @returns Outputs [tokens, numHeads, valueDim]; empty without queries.
   * @throws {RangeError} If arrays do not match in length, or the shards have no room: nothing was sent.
   * @throws {ShardLostError} If a shard is lost, or was before: nothing was merged, and the context is to be cleared.
   */
  extend(layer: number, tokens: RemoteTokens): Promise<Float32Array> {
    return this.#turns.take(() => this.#extend(layer, tokens));
  }

  /**
   * Forgets the newest tokens of every layer.
   *
   * @param length Tokens that are left.
   * @returns When every shard has forgotten them.
   * @throws {RangeError} If a layer has fewer tokens.
   * @throws {ShardLostError} If a shard is lost, or was before.
   */
  truncate(length: number): Promise<void> {
    return this.#turns.take(() => this.#truncate(length));
  }

  /**
   * Forgets all tokens, and takes the shards over from any other reader; copies that were lost are asked again.
   *
   * @throws {ShardLostError} If a shard does not answer.
   * @throws {RangeError} If a shard was started with another specification.
   */
  clear(): Promise<void> {
    return this.#turns.take(() => this.#clear());
  }

  /**
   * Copies the context to the host: each layer of each shard as it is stored, closed by a checksum. Of a shard with copies, one
   * is read.
   *
   * @returns Bytes for {@linkcode ShardedKv.restore}.
   * @throws {ShardLostError} If a shard is lost, or was before.
   *
   * @example
   * ```ts
   * import type { ShardedKv } from "@onehead/attention/cluster";
   *
   * async function tryOut(kv: ShardedKv, attempt: () => Promise<void>) {
   *   const before = await kv.snapshot();
   *   await attempt();
   *   await kv.restore(before);
   * }
   * console.log(typeof tryOut);
   * ```
   */
  snapshot(): Promise<Uint8Array> {
    return this.#turns.take(() => this.#snapshot());
  }

  /**
   * Replaces all tokens by those of a snapshot, also after shards were started anew, and takes the shards over as
   * {@linkcode ShardedKv.clear} does.
   *
   * A checksum finds damage and proves no origin: of a snapshot that a stranger wrote, the lengths and sizes are checked, and
   * the keys and values are whatever the stranger likes.
   *
   * @param snapshot What {@linkcode ShardedKv.snapshot} returned, of a context of the same specification, storage and capacity.
   * @throws {TypeError} If it is no `Uint8Array`.
   * @throws {SnapshotError} If the bytes are no snapshot, not every one of them is as it was, or they are of another context. Of
   * damage and of another specification nothing is changed; where a shard refuses its part, the context is to be cleared.
   * @throws {ShardLostError} If a shard is lost.
   */
  restore(snapshot: Uint8Array): Promise<void> {
    return this.#turns.take(() => this.#restore(snapshot));
  }

  async #extend(layer: number, given: RemoteTokens): Promise<Float32Array> {
    this.#checkUsable();
    checkObject(EXTEND, "tokens", given);
    const { k, v, q = new Float32Array(0) } = given;
    for (const [name, rows] of Object.entries({ k, v, q })) {
      if (rows instanceof Float32Array) continue;
      throw new TypeError(sentence(EXTEND, `${name} must be a Float32Array`, { [name]: rows }));
    }
    const { numHeads, numKvHeads, headDim, valueDim } = this.spec;
    const [keyRow, valueRow, queryRow] = [
      ...[numKvHeads * headDim, numKvHeads * valueDim, numHeads * headDim],
    ];
    const count = k.length / keyRow;
    this.#checkTokens(layer, count, { v: v.length / valueRow, q: q.length / queryRow });
    const outputs = new Float32Array(q.length / headDim * valueDim);
    const start = this.#lengths[layer];
    const chunks = pageChunks(this.spec, { start, count, most: this.#mostTokens(q.length > 0) });
    for (const { from, count } of chunks) {
      const part = (array: Float32Array, row: number) =>
        array.subarray(from * row, (from + count) * row);
      const tokens = { k: part(k, keyRow), v: part(v, valueRow), q: part(q, queryRow) };
      const o = await this.#whole(this.#round(layer, count, tokens));
      this.#lengths[layer] += count;
      if (o) outputs.set(o, from * numHeads * valueDim);
    }
    return outputs;
  }

  async #truncate(length: number): Promise<void> {
    this.#checkUsable();
    checkInteger("truncate a sharded context", "length", length, 0);
    const shortest = Math.min(...this.#lengths);
    if (length > shortest) {
      throw new RangeError(
        sentence("truncate a sharded context", "length must be at most that of every layer", {
          length,
          shortest,
        }),
      );
    }
    await this.#whole(this.#askAll((shard) => {
      const kept = lengthOfShard(this.spec, shard, length);
      const message = encodeShard(this.#header("truncate", { length: kept }));
      return { message, expected: { session: this.#session, length: kept }, read: () => {} };
    }));
    this.#lengths.fill(length);
  }

  async #clear(): Promise<void> {
    const { name, copies = 1, maxBytes = MAX_BYTES, warn = console.warn } = this.#options;
    const { silence, patience } = this.#options;
    for (const shard of this.#shards) shard.close();
    this.#shards = Array.from({ length: this.spec.shards }, (_, shard) => {
      const subjects = Array.from(
        { length: copies },
        (_, copy) => shardSubject(this.#cluster, name, shard, copy),
      );
      return new ShardPeer(this.#cluster, { shard, subjects, maxBytes, silence, patience, warn });
    });
    [this.#session] = crypto.getRandomValues(new Uint32Array(1));
    this.#fault = undefined;
    this.#lengths.fill(0);
    const spec = encodeJson(this.spec);
    const message = encodeShard(this.#header("reset", {}), spec);
    const rooms = await this.#whole(this.#askAll(() => ({
      message,
      expected: { session: this.#session, length: 0 },
      read: (body: Uint8Array) => readRoom(decodeJson(body, maxBytes)),
    })));
    this.#capacity = capacityOf(this.spec, rooms);
  }

  async #snapshot(): Promise<Uint8Array> {
    this.#checkUsable();
    const shards = await Promise.all(this.#shards.map((peer, shard) =>
      peer.readOne(async (ask) => {
        const layers: Uint8Array[] = [];
        for (let layer = 0; layer < this.spec.layers; layer++) {
          layers.push(await this.#save(ask, shard, layer));
        }
        return layers;
      })
    ));
    return await packContext({ spec: this.spec, lengths: this.#lengths, shards });
  }

  /** Reads the snapshot of a layer of a copy, part by part. */
  async #save(ask: AskCopy, shard: number, layer: number): Promise<Uint8Array> {
    const { numKvHeads, headDim, valueDim } = this.spec;
    const length = lengthOfShard(this.spec, shard, this.#lengths[layer]);
    // No storage takes more than f32.
    const rows = 4 * length * numKvHeads * (headDim + valueDim);
    const most = this.#mostOfPart();
    let parts: PartialSnapshot | undefined;
    do {
      const from = parts?.length ?? 0;
      const part = await ask({
        message: encodeShard(this.#header("save", { layer }), encodeWords(from, most)),
        expected: { session: this.#session, length },
        read: (body) => {
          const { words: [total], rest: bytes } = decodeWords(body, 1);
          return { from, total, bytes };
        },
      });
      parts ??= new PartialSnapshot(part.total, rows);
      parts.add(part);
    } while (!parts.isWhole);
    return parts.join();
  }

  async #restore(snapshot: Uint8Array): Promise<void> {
    const { lengths, shards } = await openContext(snapshot, this.spec);
    await this.#clear();
    await this.#whole(Promise.all(this.#shards.map(async (peer, shard) => {
      for (const [layer, bytes] of shards[shard].entries()) {
        await this.#fill(peer, layer, bytes, lengthOfShard(this.spec, shard, lengths[layer]));
      }
    })));
    lengths.forEach((length, layer) => this.#lengths[layer] = length);
  }

  /** Sends the snapshot of a layer to all copies of a shard, part by part; the shard has `length` tokens then. */
  async #fill(peer: ShardPeer, layer: number, bytes: Uint8Array, length: number): Promise<void> {
    const most = this.#mostOfPart();
    for (let from = 0; from < bytes.length; from += most) {
      const part = bytes.subarray(from, from + most);
      const body = [encodeWords(from, bytes.length), part];
      const isLast = from + part.length === bytes.length;
      await peer.ask({
        message: encodeShard(this.#header("restore", { layer }), ...body),
        expected: { session: this.#session, length: isLast ? length : 0 },
        read: () => {},
      });
    }
  }

  /** Bytes of a snapshot that fit a message. */
  #mostOfPart(): number {
    const { maxBytes = MAX_BYTES } = this.#options;
    return mostOf(this.#cluster, maxBytes) - HEADER_BYTES - PART_BYTES;
  }

  /** Tokens that fit a message with their keys and values; with queries also those and their outputs. */
  #mostTokens(hasQueries: boolean): number {
    const { maxBytes = MAX_BYTES, dtype = "f32" } = this.#options;
    const { numHeads, numKvHeads, headDim, valueDim } = this.spec;
    const size = dtype === "f16" ? 2 : 4;
    const appended = numKvHeads * (headDim + valueDim) * size;
    const asked = hasQueries ? numHeads * headDim * size : 0;
    const answered = hasQueries ? numHeads * (valueDim * size + 4) : 0;
    const most = mostOf(this.#cluster, maxBytes);
    return Math.floor((most - HEADER_BYTES) / Math.max(appended + asked, answered));
  }

  #header(
    kind: ShardHeader["kind"],
    fields: Partial<ShardHeader>,
  ): Partial<ShardHeader> & Pick<ShardHeader, "kind"> {
    return { kind, session: this.#session, dtype: this.#options.dtype, ...fields };
  }

  /** One round: the tokens to the shard that they belong to, the queries to all; returns the merged output. */
  async #round(
    layer: number,
    count: number,
    { k, v, q }: Required<RemoteTokens>,
  ): Promise<Float32Array | undefined> {
    const start = this.#lengths[layer];
    const { valueDim } = this.spec;
    const { dtype = "f32" } = this.#options;
    const owner = shardAt(this.spec, start);
    const queries = q.length === 0 ? 0 : count;
    const numbers = (array: Float32Array) => encodeNumbers(array, dtype);
    const states = await Promise.all(this.#shards.map((peer, shard) => {
      const isOwner = shard === owner;
      const length = lengthOfShard(this.spec, shard, start);
      const appended = isOwner ? count : 0;
      // A shard without tokens has nothing to say to queries, and one without new ones nothing to do without.
      if (!isOwner && (queries === 0 || length === 0)) return undefined;
      const header = this.#header("extend", {
        ...{ layer, length, appended, queries, isCausal: isOwner },
      });
      const body = [...(isOwner ? [numbers(k), numbers(v)] : []), numbers(q)];
      return peer.ask({
        message: encodeShard(header, ...body),
        expected: { session: this.#session, length: length + appended, queries },
        read: (body, header) => readState(header, body, this.spec),
      });
    }));
    if (queries === 0) return undefined;
    return mergeOutputs(states.filter((state) => state !== undefined), valueDim);
  }

  /** Asks every shard; each of them answers, or it is an error. */
  #askAll<Answer>(questionOf: (shard: number) => ShardQuestion<Answer>): Promise<Answer[]> {
    return Promise.all(this.#shards.map((peer, shard) => peer.ask(questionOf(shard))));
  }

  /** Waits for work; where it fails, the shards may have done different things, and the context is to be cleared. */
  async #whole<Value>(work: Promise<Value>): Promise<Value> {
    try {
      return await work;
    } catch (error) {
      this.#fault = error as Error;
      throw error;
    }
  }

  #checkUsable(): void {
    if (!this.#fault) return;
    throw new ShardLostError(
      `Cannot use a sharded context after a fault until it is cleared: ${this.#fault.message}`,
    );
  }

  #checkLayer(action: string, layer: number): void {
    checkInteger(action, "layer", layer, 0);
    const { layers } = this.spec;
    if (layer < layers) return;
    throw new RangeError(sentence(action, "layer must be below layers", { layer, layers }));
  }

  #checkTokens(layer: number, tokens: number, { v, q }: { v: number; q: number }): void {
    this.#checkLayer(EXTEND, layer);
    checkInteger(EXTEND, "tokens", tokens);
    if (v !== tokens || (q !== 0 && q !== tokens)) {
      throw new RangeError(
        sentence(EXTEND, "keys, values and queries must be of the same tokens", {
          ...{ k: tokens, v, q },
        }),
      );
    }
    const [length, { capacity }] = [this.#lengths[layer], this];
    if (length + tokens > capacity) {
      const rule = "the shards must have room for the tokens (start them for a longer context)";
      throw new RangeError(sentence(EXTEND, rule, { length, tokens, capacity }));
    }
  }
}
