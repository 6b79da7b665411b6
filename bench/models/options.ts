/** The command line of `bench models`. */
import { Arguments } from "../../cli/shared/arguments.ts";
import type { ModelWork } from "./measure.ts";
import { type ModelChoice, SHAPE_NAMES } from "./model.ts";

export const HELP =
  `Runs whole models on this library and on its peers: the same tokens, verified before they are timed, in turns.

Usage: deno run bench models [options]

  --models NAMES      published shapes with random weights: ${SHAPE_NAMES.join(", ")} (default: all)
  --model FILE        weights instead: a llama2.c or safetensors file, or its folder
  --layers NUMBER     layers that a published shape is cut to (default: 2)
  --vocabulary NUMBER tokens that its vocabulary is cut to (default: 2048)
  --sequences NUMBERS sequences that are continued together (default: 1,16)
  --prompt NUMBER     tokens of a prompt (default: 32)
  --tokens NUMBER     new tokens of each sequence, at least 2 (default: 17)
  --rounds NUMBER     rounds (default: 15)
  --no-peers          this library alone
  --json FILE         all rows, for programs
  --svg FILE          tokens a second, as a picture
  --html FILE         a page with both, and where the time goes
  --help              this text

Peers are fetched by npm (half a GB). Each system runs in a process of its own.`;

/** The options of the command line. */
export interface ModelsOptions {
  models: readonly ModelChoice[];
  works: readonly ModelWork[];
  peers: boolean;
  json?: string;
  svg?: string;
  html?: string;
}

const ACTION = "run models";
const NAMES = [
  ...["models", "model", "layers", "vocabulary", "sequences", "prompt", "tokens", "rounds"],
  ...["json", "svg", "html"],
] as const;
const COUNT = { min: 1, max: 4096 };

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or a value is of the wrong kind.
 * @throws {RangeError} If a value is not among those known, or options contradict each other.
 */
export function parseModelsOptions(args: readonly string[]): ModelsOptions | string {
  const given = new Arguments(ACTION, args, { names: NAMES, flags: ["no-peers"] });
  if (given.isHelp) return HELP;
  const file = given.text("model");
  for (const name of ["models", "layers", "vocabulary"] as const) {
    if (file === undefined || !given.has(name)) continue;
    throw new RangeError(`Cannot ${ACTION} as --model brings its own shape: leave out --${name}`);
  }
  const layers = given.number("layers", COUNT) ?? 2;
  const vocabulary = given.number("vocabulary", { min: 2, max: 2 ** 20 }) ?? 2048;
  const names = given.choices("models", SHAPE_NAMES) ?? SHAPE_NAMES;
  const work = {
    promptTokens: given.number("prompt", COUNT) ?? 32,
    newTokens: given.number("tokens", { min: 2, max: COUNT.max }) ?? 17,
    rounds: given.number("rounds", COUNT) ?? 15,
  };
  return {
    models: file === undefined ? names.map((name) => ({ name, layers, vocabulary })) : [{ file }],
    works: (given.numbers("sequences", COUNT) ?? [1, 16]).map((sequences) => ({
      sequences,
      ...work,
    })),
    peers: !given.has("no-peers"),
    json: given.text("json"),
    svg: given.text("svg"),
    html: given.text("html"),
  };
}
