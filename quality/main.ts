/** `deno run quality` */
import { terminal } from "../cli/run.ts";
import { runCommand } from "./command.ts";

Deno.exitCode = await runCommand(Deno.args, terminal);
