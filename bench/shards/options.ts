/** The command line of `bench shards`. */
import { Arguments } from "../../cli/shared/arguments.ts";
import {
  CLUSTER_NAMES,
  type ClusterOptions,
  NATS_HELP,
  readCluster,
} from "../../cli/shared/cluster/options.ts";
import { sentence } from "../../src/base/check.ts";
import { FULL_EFFORT, QUICK_EFFORT } from "../options.ts";
import type { Effort } from "../stopwatch.ts";
import type { ShardShape } from "./result.ts";

export const HELP =
  `Times attention of one token in a layer over one local cache, beside the same over shards that meet at a NATS server, and
predicts both: from which context length on are shards faster?

Usage: deno run bench shards [options]

All shards are on this machine's one device: they take the time of messages and readbacks here, save nothing, and cannot win. The
time on devices of their own is predicted, by the bytes of a shard, the rates of this adapter, and the readback and the round of
messages that are timed between the rows.

  --context NUMBERS    tokens of the context, the new one included (default: 1024,8192,65536)
  --shards NUMBER      shards of it (default: 2)
  --heads NUMBER       query heads (default: 32)
  --kv-heads NUMBER    key/value heads (default: 1)
  --head-dim NUMBER    elements of a head (default: 128)
  --quick              few samples
  --json FILE          all rows, for programs
  --svg FILE           a picture of times over context lengths
${NATS_HELP}
                       Without a URL the command starts nats-server on loopback, and ends it.
  --help               this text`;

/** The options of the command line. */
export interface ShardsBenchOptions {
  shape: ShardShape;
  contextLens: readonly number[];
  effort: Effort;
  /** A server that runs; absent where the command starts one. */
  cluster?: ClusterOptions;
  json?: string;
  svg?: string;
}

/** What cannot be done, in messages. */
export const ACTION = "compare shards";
const NAMES = [
  ...["context", "shards", "heads", "kv-heads", "head-dim", "json", "svg"] as const,
  ...CLUSTER_NAMES,
];
/** A context has a new token and one before it. */
const CONTEXT = { min: 2, max: 2 ** 31 - 1 };
/** Each shard is a connection. */
const SHARDS = { min: 1, max: 64 };
const HEADS = { min: 1, max: 1024 };

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range, heads do not divide, or the server's address has credentials in it.
 */
export function parseShardsOptions(args: readonly string[]): ShardsBenchOptions | string {
  const given = new Arguments(ACTION, args, { names: NAMES, flags: ["quick"] });
  if (given.isHelp) return HELP;
  const shape = {
    shards: given.number("shards", SHARDS) ?? 2,
    numHeads: given.number("heads", HEADS) ?? 32,
    numKvHeads: given.number("kv-heads", HEADS) ?? 1,
    headDim: given.number("head-dim", HEADS) ?? 128,
  };
  const { numHeads, numKvHeads } = shape;
  if (numHeads % numKvHeads !== 0) {
    const rule = "--heads must be a multiple of --kv-heads";
    throw new RangeError(sentence(ACTION, rule, { heads: numHeads, "kv-heads": numKvHeads }));
  }
  const url = given.text("nats");
  if (url === undefined && given.has("nats-prefix")) {
    throw new RangeError(`Cannot ${ACTION} as --nats-prefix needs --nats beside it`);
  }
  const contexts = given.numbers("context", CONTEXT) ?? [1024, 8192, 65_536];
  return {
    shape,
    contextLens: [...new Set(contexts)].sort((a, b) => a - b),
    // Pairs of a busy machine scatter: their median takes as many.
    effort: given.has("quick") ? QUICK_EFFORT : { ...FULL_EFFORT, minRounds: 15 },
    cluster: url === undefined ? undefined : readCluster(given, url),
    json: given.text("json"),
    svg: given.text("svg"),
  };
}
