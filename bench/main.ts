/** `deno run bench` */
import { terminal } from "../cli/shared/run.ts";
import { runCommand } from "./command.ts";
import { runCompare } from "./compare/command.ts";

const [name, ...rest] = Deno.args;
Deno.exitCode = name === "compare"
  ? await runCompare(rest, terminal)
  : await runCommand(Deno.args, terminal);
