/** The command line of `deno run serve`. */
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

export const HELP = `Serves a model over HTTP, at the endpoints of the OpenAI API.

Usage: deno run serve --model FILE [options]

The model
${MODEL_HELP}
  --name TEXT          the name that clients ask for (default: the name of the file or the folder)

The server
  --port NUMBER        port to listen on; 0 takes a free one (default: 8080)
  --host TEXT          address to listen on (default: 127.0.0.1: this machine alone)
  --api-key-file FILE  a file with the key that clients must have (default: the variable ONEHEAD_API_KEY; without, none)

Workers instead of this machine's GPU (deno run worker starts one)
${NATS_HELP}

Limits
  --max-body NUMBER    most bytes of a request (default: 1048576)
  --max-prompt NUMBER  most tokens of a prompt (default: as fit the context)
  --max-queue NUMBER   most sequences that are taken beyond --sequences; others are told to come again (default: 64)
  --timeout NUMBER     seconds until a request must be over (default: 300)

  --help               this text`;

/** The options of the command line. */
export interface ServeOptions extends ModelOptions, EngineOptions {
  /** Where workers are that generate the tokens; absent where this machine does. */
  cluster?: ClusterOptions;
  name?: string;
  port: number;
  host: string;
  apiKeyFile?: string;
  maxBody: number;
  maxPrompt: number;
  maxQueue: number;
  timeout: number;
}

const NAMES = [
  ...MODEL_NAMES,
  ...["name", "port", "host", "api-key-file"],
  ...["max-body", "max-prompt", "max-queue", "timeout"],
  ...CLUSTER_NAMES,
] as const;

/**
 * Reads the command line.
 *
 * @returns The options, or the help text where that is asked for.
 * @throws {TypeError} If an option is unknown or lacks its value.
 * @throws {RangeError} If a value is out of range.
 */
export function parseOptions(args: readonly string[]): ServeOptions | string {
  const given = new Arguments("serve", args, { names: NAMES });
  if (given.isHelp) return HELP;
  const count = { min: 1 };
  const url = given.text("nats");
  for (const name of ENGINE_NAMES) {
    if (url === undefined || !given.has(name)) continue;
    throw new RangeError(`Cannot serve as --${name} goes without --nats: workers have their own`);
  }
  return {
    cluster: url === undefined ? undefined : readCluster(given, url),
    ...readModel("serve", given),
    name: given.text("name"),
    port: given.number("port", { min: 0, max: 65535 }) ?? 8080,
    host: given.text("host") ?? "127.0.0.1",
    apiKeyFile: given.text("api-key-file"),
    maxBody: given.number("max-body", count) ?? 2 ** 20,
    maxPrompt: given.number("max-prompt", count) ?? Infinity,
    maxQueue: given.number("max-queue", count) ?? 64,
    timeout: given.number("timeout", count) ?? 300,
  };
}
