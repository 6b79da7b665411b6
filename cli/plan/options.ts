/** The planner's command line. */
import type { KvDtype } from "../../mod.ts";
import { Arguments } from "../shared/arguments.ts";
import { KV_DTYPES } from "../../src/tensor/dtype.ts";
import { FLEET_HELP, FLEET_NAMES, readFleet } from "./fleet/options.ts";
import type { FleetDemand } from "./fleet/fleet.ts";
import { GPUS } from "./gpus.ts";
import { MODELS } from "../shared/presets.ts";
import { WEIGHT_BITS } from "./weights_time.ts";

const list = (items: readonly { name: string }[]) =>
  items.map(({ name }) => name.toLowerCase()).join(", ")
    .replaceAll(/(.{60,80}), /g, "$1,\n                     ");

export const HELP =
  `Says what multi-head (MHA), grouped-query (GQA) and multi-query attention (MQA) cost a model on a GPU: the size of the
KV cache, which contexts and batches fit, and how fast decoding can be.

Usage: deno run plan [options]

What to plan
  --model NAME       the model (default: llama-2-7b):
                     ${list(MODELS)}
  --config FILE      a model by its Hugging Face config.json instead
  --assume dense     count a config.json whose model type is not known as a dense model's, and say so
  --gpu NAME         the GPU (default: a100-80gb), "this" to measure this machine's, or a bench's JSON FILE:
                     ${list(GPUS)}
  --memory SIZE      memory of the GPU, e.g. 24GB (1e9 bytes) or 24GiB (default: the GPU's own)
  --context NUMBERS  tokens per sequence, with k for 1024 (default: 4k,8k,16k,32k,64k,128k)
  --batch NUMBERS    sequences (default: 1,2,4,8,16,32,64)
  --kv-heads NUMBERS KV heads of the variants; "all" is one for each query head (default: all, the model's own or 8, 1)
  --dtype NAMES      element types of the cache: f32, f16, int8, int4 (default: f16)
  --weights NAME     element type of the weights: f32, f16, int8, int4 (default: f16)

A fleet, besides the plan
${FLEET_HELP}

Where results go, besides the table
  --json [FILE]      all figures, for programs; without a FILE to the standard output, in the table's place
  --svg DIR          the pictures, one file each
  --html FILE        a page with the pictures and their tables

Prediction against measurement, instead of a plan
  --check FILE       a bench's JSON: predicted over measured time, row by row; or one of bench serving: the same requests by
                     the simulation of --fleet, with the step times in it

  --help             this text`;

/** The options of the command line. */
export interface PlanOptions {
  model: string;
  config?: string;
  /** Whether a model type that is not known is taken for a dense model's. */
  assumesDense: boolean;
  gpu: string;
  memoryBytes?: number;
  contextLens: readonly number[];
  batches: readonly number[];
  /** KV heads, "all" being as many as query heads; none where the model decides. */
  kvHeads?: readonly (number | "all")[];
  dtypes: readonly KvDtype[];
  weightBits: number;
  /** A fleet that is asked for. */
  fleet?: FleetDemand;
  /** A serving run's JSON, whose steps those of the fleet take as long as. */
  stepTimes?: string;
  /** A file, or "" for the standard output. */
  json?: string;
  svg?: string;
  html?: string;
  check?: string;
}

const NAMES = [
  "model",
  "config",
  "assume",
  "gpu",
  "memory",
  "context",
  "batch",
  "kv-heads",
  "dtype",
  "weights",
  "json",
  "svg",
  "html",
  "check",
  ...FLEET_NAMES,
] as const;

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or lacks its value.
 * @throws {RangeError} If a value is out of range, or options contradict each other.
 */
export function parseOptions(args: readonly string[]): PlanOptions | string {
  const given = new Arguments("plan", args, { names: NAMES, bare: ["json"], flags: ["fleet"] });
  if (given.isHelp) return HELP;
  if (given.text("model") !== undefined && given.text("config") !== undefined) {
    throw new RangeError("Cannot plan as --model and --config exclude each other");
  }
  const assumed = given.choice("assume", ["dense"]);
  if (assumed !== undefined && given.text("config") === undefined) {
    throw new RangeError("Cannot plan as --assume goes with --config: presets need no assumption");
  }
  if (given.text("check") !== undefined && args.some((arg) => /^--(?!check)/.test(arg))) {
    throw new RangeError("Cannot check as --check goes alone: leave out the other options");
  }
  const lonely = FLEET_NAMES.find((name) => given.has(name));
  if (!given.has("fleet") && lonely !== undefined) {
    throw new RangeError(`Cannot plan as --${lonely} goes with --fleet`);
  }
  if (given.has("efficiency") && given.has("step-times")) {
    throw new RangeError(
      "Cannot plan as --efficiency and --step-times exclude each other: measured steps need no share of ceilings",
    );
  }
  const counts = (name: "context" | "batch") =>
    given.list(name, (item) => parseCount(name, item))?.sort((a, b) => a - b);
  const memory = given.text("memory");
  return {
    model: given.text("model") ?? "llama-2-7b",
    config: given.text("config"),
    assumesDense: assumed === "dense",
    gpu: given.text("gpu") ?? "a100-80gb",
    memoryBytes: memory === undefined ? undefined : parseSize(memory),
    contextLens: counts("context") ?? [4, 8, 16, 32, 64, 128].map((count) => count * 1024),
    batches: counts("batch") ?? [1, 2, 4, 8, 16, 32, 64],
    kvHeads: given.list(
      "kv-heads",
      (item) => item === "all" ? item : parseCount("kv-heads", item),
    ),
    dtypes: given.choices("dtype", KV_DTYPES) ?? ["f16"],
    weightBits: WEIGHT_BITS[given.choice("weights", KV_DTYPES) ?? "f16"],
    fleet: given.has("fleet") ? readFleet(given) : undefined,
    stepTimes: given.text("step-times"),
    json: given.text("json"),
    svg: given.text("svg"),
    html: given.text("html"),
    check: given.text("check"),
  };
}

/** A whole number, with k for 1024. */
function parseCount(name: string, item: string): number {
  const [, digits, suffix] = item.match(/^(.*?)(k?)$/i)!;
  const count = Number(digits || NaN) * (suffix ? 1024 : 1);
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new RangeError(
    `Cannot plan as --${name} takes whole numbers of at least 1: current value ${item}`,
  );
}

function parseSize(text: string): number {
  const match = text.match(/^([\d.]+) ?(GB|GiB|MB|MiB)$/i);
  const units: Record<string, number> = { gb: 1e9, gib: 2 ** 30, mb: 1e6, mib: 2 ** 20 };
  const bytes = match ? Number(match[1]) * units[match[2].toLowerCase()] : NaN;
  if (bytes > 0) return bytes;
  throw new RangeError(
    `Cannot plan as --memory takes a size such as 24GB or 24GiB: current value ${text}`,
  );
}
