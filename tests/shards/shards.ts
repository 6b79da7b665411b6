// Contexts over shards in processes of their own, against one machine and against float64.
import { Gpu, referenceAttention } from "../../mod.ts";
import { CONTEXT, shardSpecOf } from "../../cli/shared/cluster/shards.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoints/mod.ts";
import { ShardedKv } from "../../src/cluster/mod.ts";
import { Decoder } from "../../src/model/mod.ts";
import { floatsBehind } from "../support/commands.ts";
import { NatsServer } from "../support/nats.ts";
import { RunningCommand } from "../support/processes.ts";
import type { Random } from "../support/random.ts";

/** What attention may be off float64 by. */
export const TOLERANCE = 2e-5;
/** The newest tokens, whose attention is compared. */
const QUERIES = 3;
/** Tokens that are appended in a call. */
const PORTION = 8192;

/** A long context. */
export interface AttentionOptions {
  /** Processes that it is divided among. */
  shards: number;
  /** Tokens that each of them has. */
  tokens: number;
  heads: Heads;
}

interface Heads {
  numHeads: number;
  numKvHeads: number;
  headDim: number;
}

/** Attention of the newest tokens of a context. */
export interface AttentionResult {
  /** Tokens in all. */
  context: number;
  /** The largest difference to float64, and the largest number there. */
  error: number;
  largest: number;
  /** Milliseconds of the round of each of the newest tokens. */
  rounds: number[];
}

/** Tokens of a text over shards, and of one machine. */
export interface TextResult {
  shards: number[];
  alone: number[];
}

/** Attends over a context of random keys and values, of `tokens` in each shard. */
export async function attend(
  random: Random,
  { shards, tokens, heads }: AttentionOptions,
): Promise<AttentionResult> {
  const context = shards * tokens;
  const { numHeads, numKvHeads, headDim } = heads;
  const row = numKvHeads * headDim;
  const [k, v] = [0, 1].map(() => random.tensor([context * row]).data);
  const result: AttentionResult = { context, error: 0, largest: 0, rounds: [] };
  await withShape(heads, context, (model) =>
    withShards(model, shards, async (kv) => {
      const known = context - QUERIES;
      for (let from = 0; from < known; from += PORTION) {
        const to = Math.min(known, from + PORTION);
        const part = (rows: Float32Array) => rows.slice(from * row, to * row);
        await kv.extend(0, { k: part(k), v: part(v) });
      }
      for (let end = known + 1; end <= context; end++) {
        const newest = (rows: Float32Array) => rows.slice((end - 1) * row, end * row);
        const q = random.tensor([numHeads * headDim]).data;
        const start = performance.now();
        const o = await kv.extend(0, { k: newest(k), v: newest(v), q });
        result.rounds.push(performance.now() - start);
        const expected = referenceAttention({
          q: { data: q, shape: [1, 1, numHeads, headDim] },
          k: { data: k.subarray(0, end * row), shape: [1, end, numKvHeads, headDim] },
          v: { data: v.subarray(0, end * row), shape: [1, end, numKvHeads, headDim] },
        }, {}).o;
        // What is no number is the largest error there is.
        const errorOf = (value: number, i: number) => {
          const error = Math.abs(o[i] - value);
          return Number.isNaN(error) ? Infinity : error;
        };
        result.error = Math.max(result.error, ...Array.from(expected, errorOf));
        result.largest = Math.max(result.largest, ...Array.from(expected, Math.abs));
      }
    }));
  return result;
}

/** Continues a text by its likeliest tokens: so many, or all that the model's context has room for. */
export async function continueText(
  model: string,
  { shards: count, most }: { shards: number; most: number },
): Promise<TextResult> {
  const checkpoint = await openCheckpoint(model);
  const tokens = Math.min(most, checkpoint.spec.contextLen - 1);
  const gpu = await Gpu.open();
  try {
    const alone = await likeliest(gpu, checkpoint, tokens);
    let shards: number[] = [];
    await withShards(model, count, async (kv) => {
      shards = await likeliest(gpu, checkpoint, tokens, kv);
    });
    return { shards, alone };
  } finally {
    gpu.destroy();
    await checkpoint.close();
  }
}

async function likeliest(
  gpu: Gpu,
  { spec, weights }: Checkpoint,
  tokens: number,
  kv?: ShardedKv,
): Promise<number[]> {
  const decoder = await Decoder.create(gpu, spec, weights, kv ? { kv } : {});
  await decoder.feed([1]);
  const text: number[] = [];
  for await (const some of decoder.generate({ tokens })) text.push(...some);
  decoder.destroy();
  return text;
}

/** Starts a server and the shards of a model's context, and opens the context. */
async function withShards(
  model: string,
  shards: number,
  use: (kv: ShardedKv) => Promise<void>,
): Promise<void> {
  await using server = await NatsServer.start();
  const cluster = await server.join();
  const of = ["--model", model, "--nats", server.url, "--nats-prefix", cluster.prefix];
  const start = (_: unknown, shard: number) =>
    RunningCommand.start("worker", [...of, "--shard", `${shard}`, "--shards", `${shards}`]);
  await using stack = new AsyncDisposableStack();
  for (const shard of await Promise.all(Array.from({ length: shards }, start))) stack.use(shard);
  const { spec, close } = await openCheckpoint(model);
  await close();
  await use(await ShardedKv.open(cluster, { ...shardSpecOf(spec, shards), name: CONTEXT }));
}

/** A model of one layer with these heads, of which only the shape is ever read: its weights are a hole in the file. */
async function withShape(
  { numHeads, numKvHeads, headDim }: Heads,
  context: number,
  use: (model: string) => Promise<void>,
): Promise<void> {
  const header = [numHeads * headDim, 1, 1, numHeads, numKvHeads, 3, context];
  const file = await Deno.makeTempFile({ suffix: ".bin" });
  try {
    await Deno.writeFile(file, new Uint8Array(Int32Array.from(header).buffer));
    await Deno.truncate(file, 4 * (header.length + floatsBehind(header)));
    await use(file);
  } finally {
    await Deno.remove(file);
  }
}
