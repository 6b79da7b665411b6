/** `deno run bench` */
import { terminal } from "../cli/shared/run.ts";
import { runCommand } from "./command.ts";

Deno.exitCode = await runCommand(Deno.args, terminal);
