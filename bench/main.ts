/** `deno run bench` */
import { type Out, terminal } from "../cli/shared/run.ts";
import { runCommand } from "./command.ts";
import { runCompare } from "./compare/command.ts";
import { runGradient } from "./gradient/command.ts";
import { runHeads } from "./heads/command.ts";
import { runLinear } from "./linear/command.ts";
import { runModels } from "./models/command.ts";
import type { OTHER_COMMANDS } from "./options.ts";
import { runServing } from "./serving/command.ts";
import { runShards } from "./shards/command.ts";
import { runTrain } from "./train/command.ts";

type Run = (args: readonly string[], out: Out) => Promise<number>;

const COMMANDS: Record<typeof OTHER_COMMANDS[number], Run> = {
  compare: runCompare,
  gradient: runGradient,
  heads: runHeads,
  linear: runLinear,
  models: runModels,
  serving: runServing,
  shards: runShards,
  train: runTrain,
};
const [name, ...rest] = Deno.args;
const command = new Map(Object.entries(COMMANDS)).get(name);
// Only systems that run models have processes of their own, and a server that shards meet at; only that and --nats ask others.
if (command !== runModels && command !== runShards) await Deno.permissions.revoke({ name: "run" });
const asksOthers = command === runShards || Deno.args.some((arg) => arg.startsWith("--nats"));
if (!asksOthers) await Deno.permissions.revoke({ name: "net" });
Deno.exitCode = command ? await command(rest, terminal) : await runCommand(Deno.args, terminal);
