/** A worker that holds a shard of a context, and attends over it for a reader. */
import type { Service, ServiceMsg } from "@nats-io/services";
import { checkInteger, sentence } from "../base/check.ts";
import { Turns } from "../base/turns.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import { checkServed } from "./check_served.ts";
import { checkCluster, type Cluster, MAX_BYTES, mostOf, nameOf, subjectOf } from "./cluster.ts";
import { MessageError, WorkerLostError } from "./errors.ts";
import { failureOf } from "./failure.ts";
import type { ShardState } from "./merge_states.ts";
import { encodeJson } from "./message.ts";
import { servicesOf } from "./services.ts";
import { ShardAttention } from "./shard_attention.ts";
import {
  decodeShard,
  encodeNumbers,
  encodeShard,
  HEADER_BYTES,
  readExtend,
  SHARD_VERSION,
  type ShardHeader,
} from "./shard_message.ts";
import { ShardSnapshots } from "./shard_snapshots.ts";
import { copyShardSpec, type ShardSpec } from "./shard_spec.ts";

/** Options of {@linkcode ShardWorker.start}. */
export interface ShardWorkerOptions extends ShardSpec {
  /** The context's name, a word: its reader names it. */
  name: string;
  /** The number of the shard, from 0. */
  shard: number;
  /** The number of this copy of the shard, from 0. The default is 0. */
  copy?: number;
  /** Tokens that the shard has room for, in each layer. */
  capacity: number;
  /** Element type of keys and values in storage. The default is `"f32"`. */
  kvDtype?: KvDtype;
  /** Most bytes of a message. The default is 1 MiB, as a NATS server passes on. */
  maxBytes?: number;
}

const START = "start a shard";

/**
 * Holds a shard of a context on its own GPU: position p of the context belongs to shard `floor(p / page) mod shards`. One reader
 * has the shard at a time: who resets it last.
 *
 * @example
 * ```ts
 * import { Gpu } from "@onehead/attention";
 * import { connect, ShardWorker } from "@onehead/attention/cluster";
 *
 * async function startShard(servers: string, shard: number) {
 *   const cluster = { connection: await connect({ servers }), prefix: "example" };
 *   const shape = { layers: 1, numHeads: 8, numKvHeads: 1, headDim: 64, valueDim: 64 };
 *   return await ShardWorker.start(cluster, await Gpu.open(), {
 *     ...{ ...shape, name: "book", shard, shards: 2, page: 256, capacity: 65536 },
 *   });
 * }
 * console.log(typeof startShard); // startShard("nats://127.0.0.1:4222", 0), where a nats-server runs
 * ```
 */
export class ShardWorker {
  readonly #cluster: Cluster;
  readonly #service: Service;
  readonly #attention: ShardAttention;
  readonly #spec: ShardSpec;
  readonly #maxBytes: number;
  readonly #snapshots: ShardSnapshots;
  readonly #turns = new Turns();
  /** The inboxes of those who wait for an answer. */
  readonly #inboxes = new Set<string>();
  #session = 0;

  private constructor(
    cluster: Cluster,
    { service, attention, spec, maxBytes }: {
      service: Service;
      attention: ShardAttention;
      spec: ShardSpec;
      maxBytes: number;
    },
  ) {
    this.#cluster = cluster;
    this.#service = service;
    this.#attention = attention;
    this.#spec = spec;
    this.#maxBytes = maxBytes;
    this.#snapshots = new ShardSnapshots(
      attention,
      () => mostOf(cluster, maxBytes) - HEADER_BYTES,
    );
  }

  /**
   * Allocates the shard, and answers its reader.
   *
   * @param cluster Where the reader is.
   * @param gpu Where the shard is kept.
   * @param options The context, which shard of it this is, and its sizes.
   * @returns The worker, which answers until {@linkcode ShardWorker.stop}.
   * @throws {TypeError} If the cluster or the device is none.
   * @throws {RangeError} If a size is not a positive whole number, there is no such shard, a name is no word, or the server
   * refuses a subscription.
   * @throws {GpuWorkError} If the device refuses the memory.
   */
  static async start(
    cluster: Cluster,
    gpu: Gpu,
    options: ShardWorkerOptions,
  ): Promise<ShardWorker> {
    checkCluster(START, cluster);
    checkGpu(START, gpu);
    const spec = copyShardSpec(START, options);
    const { name, shard, copy = 0, capacity, kvDtype = "f32", maxBytes = MAX_BYTES } = options;
    checkInteger(START, "shard", shard, 0);
    checkInteger(START, "copy", copy, 0);
    checkInteger(START, "capacity", capacity);
    checkInteger(START, "maxBytes", maxBytes);
    if (shard >= spec.shards) {
      throw new RangeError(
        sentence(START, "shard must be below shards", { shard, shards: spec.shards }),
      );
    }
    const subject = shardSubject(cluster, name, shard, copy);
    return await Owned.make(async (owned) => {
      const attention = owned.keep(await ShardAttention.create(gpu, spec, { capacity, kvDtype }));
      const service = await servicesOf(cluster).add({
        name: nameOf(cluster, name),
        version: `${SHARD_VERSION}.0.0`,
        metadata: { shard: `${shard}`, copy: `${copy}` },
        queue: "",
      });
      const worker = new ShardWorker(cluster, { service, attention, spec, maxBytes });
      service.addEndpoint("shard", { subject, handler: (_, message) => worker.#take(message) });
      // What is asked here stands behind nothing: messages are taken in turns.
      service.addEndpoint("probe", {
        subject: `${subject}.probe`,
        handler: (_, message) => {
          message.respond(encodeJson(worker.#inboxes.has(message.string())));
        },
      });
      await checkServed(START, cluster, service);
      return worker;
    });
  }

  /**
   * Resolves when it answers no more: with null where it was told to stop, and with an error where the connection was closed, or
   * the server took a subject away.
   */
  get stopped(): Promise<Error | null> {
    return this.#service.stopped;
  }

  /** Answers no more, and frees the shard. */
  async stop(): Promise<void> {
    await this.#service.stop();
    await this.#turns.take(() => this.#attention.destroy());
  }

  #take(message: Pick<ServiceMsg, "data" | "reply" | "respond">): void {
    const inbox = message.reply!;
    this.#inboxes.add(inbox);
    const turn = this.#turns.take(async () => message.respond(await this.#answer(message.data)));
    // A connection that closed meanwhile passes on no answer, and whoever asked takes the shard for lost.
    turn.catch(() => {}).finally(() => this.#inboxes.delete(inbox));
  }

  async #answer(data: Uint8Array): Promise<Uint8Array> {
    try {
      const { header, body } = decodeShard(data, this.#maxBytes);
      return await this.#do(header, body);
    } catch (error) {
      return encodeShard({ kind: "failure" }, encodeJson(failureOf(error)));
    }
  }

  async #do(header: ShardHeader, body: Uint8Array): Promise<Uint8Array> {
    const { kind, session, layer, length } = header;
    if (kind === "reset") return await this.#reset(session, body);
    if (session !== this.#session || layer >= this.#spec.layers) {
      throw new WorkerLostError("it began anew, or has another reader");
    }
    if (kind === "save") {
      const header = {
        kind: "state",
        session,
        layer,
        length: this.#attention.length(layer),
      } as const;
      return encodeShard(header, ...await this.#snapshots.save(layer, body));
    }
    if (kind === "restore") {
      await this.#snapshots.restore(layer, body);
      return this.#state(header);
    }
    this.#snapshots.clear();
    if (kind === "truncate") {
      await this.#attention.truncate(length);
      return this.#state(header);
    }
    if (kind !== "extend") throw new MessageError(`Cannot take a message of the kind ${kind}`);
    if (length !== this.#attention.length(layer)) {
      throw new WorkerLostError(
        `it has ${this.#attention.length(layer)} tokens of layer ${layer}, and not ${length}`,
      );
    }
    this.#checkAnswer(header);
    const numbers = readExtend(header, body, this.#spec);
    return this.#state(header, await this.#attention.extend(layer, header, numbers));
  }

  /** Throws a {@linkcode MessageError} if no message can hold the answer, before anything is appended. */
  #checkAnswer({ queries, dtype }: ShardHeader): void {
    const { numHeads, valueDim } = this.#spec;
    const most = mostOf(this.#cluster, this.#maxBytes);
    const bytes = HEADER_BYTES + queries * numHeads * (valueDim * (dtype === "f16" ? 2 : 4) + 4);
    if (bytes <= most) return;
    throw new MessageError(
      sentence("answer queries", "the answer must fit a message (ask fewer at once)", {
        ...{ queries, bytes, most },
      }),
    );
  }

  async #reset(session: number, body: Uint8Array): Promise<Uint8Array> {
    const [theirs, own] = [new TextDecoder().decode(body), JSON.stringify(this.#spec)];
    if (theirs !== own) {
      throw new RangeError(
        sentence("read shards", "reader and shard must have the same specification", {
          reader: theirs,
          shard: own,
        }),
      );
    }
    await this.#attention.truncate(0);
    this.#snapshots.clear();
    this.#session = session;
    const header = { kind: "state", session, length: this.#attention.length(0) } as const;
    return encodeShard(header, encodeJson({ room: this.#attention.capacity }));
  }

  /** What the reader gets: the length of the shard, and its state, where it has one. */
  #state(
    { session, layer = 0, dtype = "f32" }: Partial<ShardHeader>,
    state?: ShardState,
  ): Uint8Array {
    const length = this.#attention.length(layer);
    const header = { kind: "state", session, layer, dtype, length } as const;
    if (!state) return encodeShard(header);
    const queries = state.lse.length / this.#spec.numHeads;
    return encodeShard(
      { ...header, queries },
      encodeNumbers(state.o, dtype),
      encodeNumbers(state.lse, "f32"),
    );
  }
}

/** The subject of a copy of a shard. */
export function shardSubject(cluster: Cluster, name: string, shard: number, copy: number): string {
  return subjectOf(cluster, name, `${shard}-${copy}`);
}
