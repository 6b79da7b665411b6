/** The command line of `deno run worker`. */
import { sentence } from "../../src/base/check.ts";
import { Arguments } from "../shared/arguments.ts";
import {
  CLUSTER_NAMES,
  type ClusterOptions,
  NATS_HELP,
  readCluster,
} from "../shared/cluster/options.ts";
import {
  ENGINE_NAMES,
  MODEL_HELP,
  MODEL_NAMES,
  readModel,
} from "../shared/generation/engine_options.ts";
import type { EngineOptions } from "../shared/generation/open_engine.ts";
import type { ModelOptions } from "../shared/model_options.ts";

export const HELP =
  `Generates tokens on this machine's GPU for others, who find it at a NATS server, or measures for them.

Usage: deno run worker --model FILE --nats URL [options]

The model, which must be the same wherever it is served
${MODEL_HELP}

The cluster; prompts of files are taken where --context is left out
${NATS_HELP}
  --max-queue NUMBER   sequences that wait here before others are sent elsewhere (default: 1)
  --patience NUMBER    seconds after which prompts of a silent worker go to others, the same for all workers (default: 30)

Rows of tables of deno run quality --nats, instead of sequences; the server must have JetStream
  --quality            measure them, one at a time, by this machine's GPU

This machine's adapter for deno run bench --nats, instead of sequences
  --bench              measure it, for one asker at a time; there is no --model

A part of one long context, instead of sequences: for deno run generate --shards
  --shard NUMBER       which part of its keys and values are held here, from 0
  --shards NUMBER      parts that the context is divided into, the same wherever one is held
  --copy NUMBER        which copy of the part this is, from 0 (default: 0)

  --help               this text`;

/** The options of the command line. */
export interface WorkerOptions extends ModelOptions, EngineOptions {
  cluster: ClusterOptions;
  maxQueue: number;
  /** Seconds after which prompts of a silent worker go to others. */
  patience: number;
  /** Whether rows of tables of quality are measured, in place of sequences. */
  quality: boolean;
  /** The part of a context that is held; absent where sequences are generated. */
  shard?: ShardOptions;
}

/** The options of a worker that measures its adapter, for which there is no model. */
export interface AdapterOptions {
  bench: true;
  cluster: ClusterOptions;
}

/** A part of a context. */
export interface ShardOptions {
  shard: number;
  shards: number;
  copy: number;
}

/** Options of whoever generates sequences. */
const OF_SEQUENCES = [
  ...["tokenizer", "calibrate", "weight-dtype", "sequences", "cache-mib"] as const,
  ...["max-queue", "patience"] as const,
];

/** Options that a worker for quality has no use of: a job says how it is measured. */
const NOT_OF_QUALITY = [
  ...ENGINE_NAMES,
  ...["max-queue", "shard", "shards", "copy"] as const,
];

const NAMES = [
  ...MODEL_NAMES,
  ...["max-queue", "patience", "shard", "shards", "copy"],
  ...CLUSTER_NAMES,
] as const;
const FLAGS = ["quality", "bench"] as const;
type Name = typeof NAMES[number];
type Flag = typeof FLAGS[number];
type Given = Arguments<Name, Flag>;

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or lacks its value.
 * @throws {RangeError} If a value is out of range.
 */
export function parseOptions(args: readonly string[]): WorkerOptions | AdapterOptions | string {
  const given = new Arguments("start a worker", args, { names: NAMES, flags: FLAGS });
  if (given.isHelp) return HELP;
  if (given.has("bench")) {
    refuse(given, [...NAMES.filter((name) => !isOfCluster(name)), "quality"], "without --bench");
    return { bench: true, cluster: readCluster(given, given.required("nats")) };
  }
  if (given.has("quality")) refuse(given, NOT_OF_QUALITY, "without --quality");
  const count = { min: 1 };
  return {
    ...readModel("start a worker", given),
    cluster: readCluster(given, given.required("nats")),
    maxQueue: given.number("max-queue", count) ?? 1,
    patience: given.number("patience", count) ?? 30,
    quality: given.has("quality"),
    shard: readShard(given),
  };
}

function isOfCluster(name: Name): boolean {
  return CLUSTER_NAMES.some((of) => of === name);
}

/** Throws where an option has no use. */
function refuse(given: Given, names: readonly (Name | Flag)[], where: string): void {
  const wrong = names.find((name) => given.has(name));
  if (wrong) throw new RangeError(`Cannot start a worker as --${wrong} goes ${where}`);
}

function readShard(given: Given): ShardOptions | undefined {
  const [shard, shards] = [given.number("shard", { min: 0 }), given.number("shards", { min: 1 })];
  if (shard === undefined && shards === undefined) {
    if (!given.has("copy")) return undefined;
    throw new RangeError("Cannot start a worker as --copy needs --shard and --shards beside it");
  }
  if (shard === undefined || shards === undefined) {
    throw new RangeError("Cannot start a worker as --shard and --shards need each other");
  }
  if (shard >= shards) {
    throw new RangeError(
      sentence("start a worker", "--shard must be below --shards", { shard, shards }),
    );
  }
  refuse(given, OF_SEQUENCES, "without --shard");
  return { shard, shards, copy: given.number("copy", { min: 0 }) ?? 0 };
}
