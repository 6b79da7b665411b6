/** `deno run worker` */
import { terminal } from "../shared/run.ts";
import { runCommand } from "./command.ts";

Deno.exitCode = await runCommand(Deno.args, terminal);
