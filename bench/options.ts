/** The bench's command line. */
import { Arguments } from "../cli/shared/arguments.ts";
import {
  type AwaitedCluster,
  CLUSTER_NAMES,
  NATS_HELP,
  readAwaited,
  WAIT_HELP,
} from "../cli/shared/cluster/options.ts";
import type { Dtype, Implementation, KvDtype } from "../mod.ts";
import { DTYPES, KV_DTYPES } from "../src/tensor/dtype.ts";
import { type CaseGroup, findModels, type HeadShape, headShapeOf, planCases } from "./cases.ts";
import type { Phase } from "./result.ts";
import type { Effort } from "./stopwatch.ts";
import type { TuneEffort } from "./tune.ts";

export const HELP =
  `Compares multi-head (MHA), grouped-query (GQA) and multi-query attention (MQA) on this machine's GPU.

Usage: deno run bench [options]         measures and compares
       deno run bench tune [options]    searches the tile sizes that suit this adapter (ten minutes; with --quick two)
                                        and writes them to tuning.json, or to --json FILE, for the library's \`tuning\`
       deno run bench explain [options] prints the plan of each case and the floor under its time, or with --wgsl the
                                        kernels, and measures nothing
       deno run bench matrix [--json FILE]
                                        tries features of attention on this library and on the peers, verifies each,
                                        and prints a table in Markdown
       deno run bench gradient [options]
                                        times attention and its gradients, on request beside jax-js and tfjs (--help there)
       deno run bench heads [options]   trains an architecture from scratch with fewer and fewer KV heads (--help there)
       deno run bench linear [options]  times the projections of models beside what the adapter can do (--help there)
       deno run bench models [options]  runs whole models on this library and on its peers (--help there)
       deno run bench serving [options] serves requests by MHA, GQA and MQA under one budget of memory (--help there)
       deno run bench shards [options]  times attention over shards beside one device (--help there)
       deno run bench train [options]   times the steps of a training and their kernels (--help there)
       deno run bench compare BEFORE.json AFTER.json [--json FILE]
                                        says what became faster or slower beyond noise between two reports

What to measure
  --models NAMES     models by name, separated by commas (default: all but DeepSeek-V3)
  --phase NAMES      decode (one new token), prefill (all tokens at once) or both (default: decode,prefill)
  --dtype NAMES      f32, f16 or both (default: f32)
  --kv-dtype NAMES   element types of K and V in storage: f32, f16, int8, int4 (default: that of --dtype)
  --impl NAMES       auto, fused (one pass over K and V), staged (three kernels), or several (default: fused,staged)
  --context NUMBERS  tokens of the context (default: decode 512,1024,2048,4096, prefill 512; cut to each model's own)
  --batch NUMBERS    sequences (default: 1)
  --quick            seven models, fused, one context each, few samples: under a minute on a software adapter; with
                     --peers one model, two minutes

A shape of one's own instead of models; each takes a list
  --heads NUMBERS    query heads
  --kv-heads NUMBERS KV heads (default: as many as query heads, and 1)
  --head-dim NUMBERS elements of a head (default: 128)
  --seq NUMBERS      new tokens: 1 is decode, more is prefill (default: 1 and the whole context)

Real inputs instead of random ones
  --input FILE       a safetensors file with NAME.q, NAME.k, NAME.v and, where known, the output NAME.o, each
                     [tokens, heads, size]: run through the ring cache as MHA (K/V repeated), as trained, and as MQA
                     (K/V averaged)

Other systems on the same adapter, fetched from npm when asked for (half a GB)
  --peers            time jax-js, tfjs and ONNX Runtime (WebGPU, and its CPU provider) beside ours: same inputs, same
                     rounds, verified the same way; in tables of their own

The adapters of workers instead of this machine's (deno run worker --bench starts one): a row for each. They take --models,
--phase, --dtype, --kv-dtype, --impl, --context, --batch and --quick
${NATS_HELP}
${WAIT_HELP}
  --in-turns           one worker after the other, as those of one machine disturb each other (default: all at once)

Where results go, besides the table
  --json FILE        all rows, for programs
  --svg FILE         throughput against context, as a picture
  --html FILE        a page: throughput, share of the roof, cache bytes and first use, each with its table

Explanations
  --wgsl             with explain: print the WGSL of the kernels, each once, under the cases that run it

  --help             this text`;

/** The options of the command line. */
export interface BenchOptions {
  groups: readonly CaseGroup[];
  phases: readonly Phase[];
  dtypes: readonly Dtype[];
  /** Element types of K and V in storage; those of queries where none is given. */
  kvDtypes?: readonly KvDtype[];
  impls: readonly Implementation[];
  effort: Effort;
  input?: string;
  json?: string;
  svg?: string;
  html?: string;
  /** The explanation of each case that is asked for instead of measuring. */
  explain?: "plan" | "wgsl";
  /** Whether other systems are measured beside ours. */
  peers: boolean;
  /** Whether features are tried, instead of measuring. */
  matrix: boolean;
  /** The effort of a search for tile sizes, if one is asked for instead of measuring. */
  tune?: TuneEffort;
  /** Where workers are whose adapters are measured; absent where this machine's is. */
  cluster?: AwaitedCluster;
  /** Whether these measure one after the other. */
  isInTurns: boolean;
  /** The options as they are written, for workers. */
  asked: { options: Partial<Record<typeof REMOTE_NAMES[number], string>>; quick: boolean };
}

const ACTION = "run the bench";
const COMMANDS = ["tune", "explain", "matrix"] as const;
/** The commands that have options of their own. */
export const OTHER_COMMANDS = [
  "compare",
  "gradient",
  "heads",
  "linear",
  "models",
  "serving",
  "shards",
  "train",
] as const;
const NAMES = [
  "models",
  "phase",
  "dtype",
  "kv-dtype",
  "impl",
  "input",
  "json",
  "svg",
  "html",
  "wait",
  ...CLUSTER_NAMES,
] as const;
const NUMBERS = ["context", "batch", "heads", "kv-heads", "head-dim", "seq"] as const;
const FLAGS = ["quick", "wgsl", "peers", "in-turns"] as const;
/** The options that workers take. */
export const REMOTE_NAMES = [
  ...["models", "phase", "dtype", "kv-dtype", "impl", "context", "batch"] as const,
];
type Name = typeof NAMES[number] | typeof NUMBERS[number];
type Flag = typeof FLAGS[number];
type Given = Arguments<Name, Flag>;
const PHASES: readonly Phase[] = ["decode", "prefill"];
const IMPLEMENTATIONS: readonly Implementation[] = ["auto", "fused", "staged"];
const SHAPE_NUMBERS = ["kv-heads", "head-dim", "seq"] as const;
const FULL_CONTEXTS = { decode: [512, 1024, 2048, 4096], prefill: [512] };
const TUNE_CONTEXTS = { decode: [2048], prefill: [256] };
const QUICK_MODELS = "LLaMA-2-7B,Mistral-7B,Falcon-7B,Gemma-2B,Gemma-3-1B,GPT-2,Shazeer-2019"
  .split(",");
/** Peers take a minute for each model. */
const QUICK_PEER_MODELS = ["LLaMA-2-7B"];
const QUICK_CONTEXTS = { decode: [512], prefill: [64] };
/** The effort of a measurement whose figures are kept, and of a glance. */
export const FULL_EFFORT: Effort = { minRounds: 11, maxRounds: 51, budgetMs: 2000 };
export const QUICK_EFFORT: Effort = { minRounds: 3, maxRounds: 11, budgetMs: 100 };
const FULL_TUNE: TuneEffort = {
  ...{ minRounds: 5, maxRounds: 21, budgetMs: 500 },
  ...{ shapes: 2, totalMs: 10 * 60_000 },
};
const QUICK_TUNE: TuneEffort = {
  ...{ minRounds: 5, maxRounds: 11, budgetMs: 200 },
  ...{ shapes: 1, totalMs: 2 * 60_000 },
};

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or a value is of the wrong kind.
 * @throws {RangeError} If a value is not among those known, or options contradict each other.
 */
export function parseOptions(args: readonly string[]): BenchOptions | string {
  const command = COMMANDS.find((name) => name === args[0]);
  const isTune = command === "tune";
  const given = new Arguments(ACTION, args.slice(command ? 1 : 0), {
    names: [...NAMES, ...NUMBERS],
    flags: FLAGS,
    commands: [...COMMANDS, ...OTHER_COMMANDS],
  });
  if (given.isHelp) return HELP;
  checkTogether(given, command);

  const isQuick = given.has("quick");
  const phases = given.choices("phase", PHASES) ?? PHASES;
  const dtypes = given.choices("dtype", DTYPES) ?? ["f32"];
  const kvDtypes = given.choices("kv-dtype", KV_DTYPES);
  const impls = given.choices("impl", IMPLEMENTATIONS) ??
    (isQuick || isTune ? ["fused"] : ["fused", "staged"]);
  const counts = (name: typeof NUMBERS[number]) => given.numbers(name, { min: 1 });
  const heads = counts("heads");
  const contexts = counts("context");
  const seqLens = counts("seq");

  const quickModels = given.has("peers") ? QUICK_PEER_MODELS : QUICK_MODELS;
  const models = given.list("models", (name) => name) ?? (isQuick ? quickModels : []);
  const usualContexts = isTune ? TUNE_CONTEXTS : FULL_CONTEXTS;
  const { decode, prefill } = isQuick ? QUICK_CONTEXTS : usualContexts;
  const shapes = heads
    ? ownShapes(heads, counts("kv-heads"), counts("head-dim") ?? [128])
    : findModels(models).map(headShapeOf);
  const groups = planCases(shapes, {
    phases: seqLens ? phases.filter((phase) => hasPhase(phase, seqLens)) : phases,
    dtypes,
    kvDtypes,
    impls,
    batches: counts("batch") ?? [1],
    decodeContexts: contexts ?? decode,
    prefillContexts: contexts ?? prefill,
    prefillSeqLens: seqLens?.filter((seqLen) => seqLen > 1),
  });
  return {
    groups,
    phases,
    dtypes,
    kvDtypes,
    impls,
    effort: isQuick ? QUICK_EFFORT : FULL_EFFORT,
    input: given.text("input"),
    json: given.text("json") ?? (isTune ? "tuning.json" : undefined),
    svg: given.text("svg"),
    html: given.text("html"),
    explain: command === "explain" ? (given.has("wgsl") ? "wgsl" : "plan") : undefined,
    peers: given.has("peers"),
    matrix: command === "matrix",
    tune: isTune ? (isQuick ? QUICK_TUNE : FULL_TUNE) : undefined,
    cluster: readAwaited(ACTION, given),
    isInTurns: given.has("in-turns"),
    asked: {
      options: Object.fromEntries(
        REMOTE_NAMES.filter((name) => given.has(name)).map((name) => [name, given.text(name)]),
      ),
      quick: isQuick,
    },
  };
}

/** Throws where options contradict each other. */
function checkTogether(given: Given, command: typeof COMMANDS[number] | undefined): void {
  if (command === "tune") {
    refuse(given, "tune", ["kv-dtype", "impl", "input", "svg", "html", "wgsl", "peers"]);
  }
  if (command === "explain") refuse(given, "explain", ["input", "json", "svg", "html", "peers"]);
  if (command === undefined) refuse(given, "measure", ["wgsl"]);
  if (command === "matrix") {
    const names = [...NAMES, ...NUMBERS, ...FLAGS] as const;
    refuse(given, "try features", names.filter((name) => name !== "json"));
  }
  const fail = (rule: string): never => {
    throw new RangeError(`Cannot ${ACTION} as ${rule}`);
  };
  if (given.has("heads") && given.has("models")) fail("--heads and --models exclude each other");
  for (const name of SHAPE_NUMBERS) {
    if (given.has(name) && !given.has("heads")) fail(`--${name} needs --heads beside it`);
  }
  if (given.has("kv-dtype") && given.has("peers")) {
    fail("--peers store keys and values as queries: leave out --kv-dtype");
  }
  if (given.has("in-turns") && !given.has("nats")) fail("--in-turns needs --nats beside it");
  if (given.has("nats")) {
    if (command !== undefined) fail(`--nats goes without ${command}`);
    const own = [...NAMES, ...NUMBERS, ...FLAGS].find((name) => !isRemote(name) && given.has(name));
    if (own !== undefined) fail(`--${own} goes without --nats: workers take it from nobody`);
  }
  if (!given.has("input")) return;
  for (const name of ["models", "kv-dtype", ...NUMBERS, "peers"] as const) {
    if (given.has(name)) fail(`--input brings its own shapes: leave out --${name}`);
  }
}

/** Whether an option goes with the adapters of workers. */
function isRemote(name: Name | Flag): boolean {
  const others = [...CLUSTER_NAMES, "wait", "in-turns", "quick", "json"] as const;
  return [...REMOTE_NAMES, ...others].some((remote) => remote === name);
}

function refuse(given: Given, action: string, names: readonly (Name | Flag)[]): void {
  for (const name of names) {
    if (!given.has(name)) continue;
    throw new RangeError(`Cannot ${action} as --${name} is of no use there: --help says what is`);
  }
}

function hasPhase(phase: Phase, seqLens: readonly number[]): boolean {
  return seqLens.some((seqLen) => (seqLen === 1) === (phase === "decode"));
}

function ownShapes(
  heads: readonly number[],
  kvHeads: readonly number[] | undefined,
  headDims: readonly number[],
): HeadShape[] {
  return heads.flatMap((numHeads) => {
    const variants = kvHeads ?? [...new Set([numHeads, 1])];
    for (const numKvHeads of variants) {
      if (numHeads % numKvHeads === 0) continue;
      throw new RangeError(
        `Cannot ${ACTION} as --heads must be a multiple of --kv-heads: current values heads=${numHeads}, kv-heads=${numKvHeads}`,
      );
    }
    return headDims.map((headDim) => ({
      name: `${numHeads}x${headDim}`,
      numHeads,
      headDim,
      // MHA first: the others are held against it.
      kvHeads: [...variants].sort((a, b) => b - a),
      maxContext: Infinity,
    }));
  });
}
