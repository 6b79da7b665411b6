/** `deno run plan` */
import { runCommand } from "./command.ts";

Deno.exitCode = await runCommand(Deno.args, console);
