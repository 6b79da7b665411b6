/** The bench's command line. */
import { parseArgs } from "@std/cli/parse-args";
import type { Dtype, Implementation } from "../mod.ts";
import { type CaseGroup, findModels, type HeadShape, headShapeOf, planCases } from "./cases.ts";
import type { Phase } from "./result.ts";
import type { Effort } from "./stopwatch.ts";
import type { TuneEffort } from "./tune.ts";

export const HELP =
  `Compares multi-head (MHA), grouped-query (GQA) and multi-query attention (MQA) on this machine's GPU.

Usage: deno run bench [options]         measures and compares
       deno run bench tune [options]    searches the tile sizes that suit this adapter (ten minutes; with --quick two)
                                        and writes them to tuning.json, or to --json FILE, for the library's \`tuning\`
       deno run bench matrix [--json FILE]
                                        tries features of attention on this library and on the peers, verifies each,
                                        and prints a table in Markdown

What to measure
  --models NAMES     models by name, separated by commas (default: all of them)
  --phase NAMES      decode (one new token), prefill (all tokens at once) or both (default: decode,prefill)
  --dtype NAMES      f32, f16 or both (default: f32)
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

Where results go, besides the table
  --json FILE        all rows, for programs
  --svg FILE         throughput against context, as a picture

What would run
  --explain          print the plan of each case and the floor under its time, and measure nothing

  --help             this text
`;

/** What the command line asks for. */
export interface BenchOptions {
  groups: readonly CaseGroup[];
  phases: readonly Phase[];
  dtypes: readonly Dtype[];
  impls: readonly Implementation[];
  effort: Effort;
  input?: string;
  json?: string;
  svg?: string;
  explain: boolean;
  /** Whether other systems are measured beside ours. */
  peers: boolean;
  /** Whether features are tried, instead of measuring. */
  matrix: boolean;
  /** How to search tile sizes, where that is asked for instead of measuring. */
  tune?: TuneEffort;
}

const NAMES = ["models", "phase", "dtype", "impl", "input", "json", "svg"] as const;
const NUMBERS = ["context", "batch", "heads", "kv-heads", "head-dim", "seq"] as const;
const SHAPE_NUMBERS = ["kv-heads", "head-dim", "seq"] as const;
const FULL_CONTEXTS = { decode: [512, 1024, 2048, 4096], prefill: [512] };
const TUNE_CONTEXTS = { decode: [2048], prefill: [256] };
const QUICK_MODELS = "LLaMA-2-7B,Mistral-7B,Falcon-7B,Gemma-2B,Gemma-3-1B,GPT-2,Shazeer-2019";
/** Peers take a minute for each model. */
const QUICK_PEER_MODELS = "LLaMA-2-7B";
const QUICK_CONTEXTS = { decode: [512], prefill: [64] };
const FULL_EFFORT: Effort = { minRounds: 11, maxRounds: 51, budgetMs: 2000 };
const QUICK_EFFORT: Effort = { minRounds: 3, maxRounds: 11, budgetMs: 100 };
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
  const unknown = (arg: string): never => {
    throw new TypeError(`Cannot run the bench as ${arg} is unknown: --help lists the options`);
  };
  const isTune = args[0] === "tune";
  const isMatrix = args[0] === "matrix";
  const parsed = parseArgs(args.slice(isTune || isMatrix ? 1 : 0), {
    string: [...NAMES, ...NUMBERS],
    boolean: ["quick", "explain", "peers", "help"],
    alias: { help: "h" },
    unknown,
  });
  if (parsed.help) return HELP;
  for (const name of [...NAMES, ...NUMBERS]) {
    if (parsed[name] === "") {
      throw new TypeError(`Cannot run the bench as --${name} needs a value: --help says which`);
    }
  }

  const numbers = (name: typeof NUMBERS[number]) => parseNumbers(name, parsed[name]);
  const phases = parseChoices("phase", parsed.phase, ["decode", "prefill"] satisfies Phase[]);
  const dtypes = parseChoices("dtype", parsed.dtype ?? "f32", ["f32", "f16"] satisfies Dtype[]);
  const choices: Implementation[] = ["auto", "fused", "staged"];
  const usual = parsed.quick || isTune ? "fused" : "fused,staged";
  const impls = parseChoices("impl", parsed.impl ?? usual, choices);
  const heads = numbers("heads");
  if (heads && parsed.models) {
    throw new RangeError("Cannot run the bench as --heads and --models exclude each other");
  }
  for (const name of SHAPE_NUMBERS) {
    if (parsed[name] && !heads) {
      throw new RangeError(`Cannot run the bench as --${name} needs --heads beside it`);
    }
  }

  if (isTune) {
    refuseOptions("tune", ["impl", "input", "svg", "explain", "peers"], parsed);
  }
  if (isMatrix) {
    const names = [...NAMES, ...NUMBERS, "quick", "explain", "peers"] as const;
    refuseOptions("try features", names.filter((name) => name !== "json"), parsed);
  }
  if (parsed.explain && parsed.peers) {
    throw new RangeError("Cannot run the bench as --explain measures nothing: leave out --peers");
  }
  if (parsed.input !== undefined) {
    if (parsed.explain) {
      throw new RangeError("Cannot run the bench as --explain takes shapes: leave out --input");
    }
    for (const name of ["models", ...NUMBERS, "peers"] as const) {
      if (!parsed[name]) continue;
      throw new RangeError(
        `Cannot run the bench as --input brings its own shapes: leave out --${name}`,
      );
    }
  }

  const quickModels = parsed.peers ? QUICK_PEER_MODELS : QUICK_MODELS;
  const usualModels = parsed.quick ? quickModels : "";
  const contexts = numbers("context");
  const usualContexts = isTune ? TUNE_CONTEXTS : FULL_CONTEXTS;
  const { decode, prefill } = parsed.quick ? QUICK_CONTEXTS : usualContexts;
  const seqLens = numbers("seq");
  const shapes = heads
    ? ownShapes(heads, numbers("kv-heads"), numbers("head-dim") ?? [128])
    : findModels(split(parsed.models ?? usualModels)).map(headShapeOf);
  const groups = planCases(shapes, {
    phases: seqLens ? phases.filter((phase) => hasPhase(phase, seqLens)) : phases,
    dtypes,
    impls,
    batches: numbers("batch") ?? [1],
    decodeContexts: contexts ?? decode,
    prefillContexts: contexts ?? prefill,
    prefillSeqLens: seqLens?.filter((seqLen) => seqLen > 1),
  });
  return {
    groups,
    phases,
    dtypes,
    impls,
    effort: parsed.quick ? QUICK_EFFORT : FULL_EFFORT,
    input: parsed.input,
    json: parsed.json ?? (isTune ? "tuning.json" : undefined),
    svg: parsed.svg,
    explain: parsed.explain,
    peers: parsed.peers,
    matrix: isMatrix,
    tune: isTune ? (parsed.quick ? QUICK_TUNE : FULL_TUNE) : undefined,
  };
}

function refuseOptions<Name extends string>(
  action: string,
  names: readonly Name[],
  parsed: Partial<Record<Name, unknown>>,
): void {
  for (const name of names) {
    if (!parsed[name]) continue;
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
        `Cannot run the bench as --heads must be a multiple of --kv-heads: current values heads=${numHeads}, kv-heads=${numKvHeads}`,
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

function split(list: string): string[] {
  return list.split(",").map((item) => item.trim()).filter((item) => item !== "");
}

function parseNumbers(name: string, list: string | undefined): number[] | undefined {
  return list === undefined ? undefined : split(list).map((item) => {
    const number = Number(item);
    if (Number.isSafeInteger(number) && number > 0) return number;
    throw new RangeError(
      `Cannot run the bench as --${name} takes whole numbers of at least 1: current value ${item}`,
    );
  });
}

function parseChoices<Choice extends string>(
  name: string,
  list: string | undefined,
  choices: readonly Choice[],
): readonly Choice[] {
  if (list === undefined) return choices;
  return split(list).map((item) => {
    const choice = choices.find((choice) => choice === item);
    if (choice) return choice;
    throw new RangeError(
      `Cannot run the bench as --${name} takes ${choices.join(", ")}: current value ${item}`,
    );
  });
}
