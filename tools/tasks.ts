// From a task of deno.json to the arguments of the deno commands that it consists of. Pure.

/** The `tasks` of deno.json. */
export type Tasks = Record<string, { description: string; command: string }>;

/** The subcommands that load the modules of bench, tests and tools, and so need `@std`. */
const RESOLVING = ["run", "test", "bench", "check"];

/**
 * The commands of a task, in order: for each, the arguments that deno is called with.
 *
 * @param name The task's name in `tasks`.
 * @param tasks The tasks that deno.json defines: each a chain of deno commands joined by `&&`.
 * @param options What the user adds; it goes to the last command.
 * @throws {RangeError} If there is no such task, or it needs a shell.
 */
export function commandsOf(name: string, tasks: Tasks, options: string[] = []): string[][] {
  if (!Object.hasOwn(tasks, name)) {
    const known = Object.keys(tasks).join(", ");
    throw new RangeError(
      `Cannot run "${name}" as the tasks are ${known}: try "sh tools/run --help"`,
    );
  }
  const { command } = tasks[name];
  if (/["'`$|;<>*\\(){}]/.test(command)) {
    throw new RangeError(`Cannot run "${name}" as its command needs a shell: ${command}`);
  }
  const commands = command.split("&&").flatMap((part) => {
    const [program, ...args] = part.trim().split(/\s+/);
    if (program !== "deno") {
      throw new RangeError(`Cannot run "${name}" as "${program}" is not deno: ${command}`);
    }
    return args[0] === "task" ? commandsOf(args[1], tasks, args.slice(2)) : [args];
  });
  commands.at(-1)?.push(...options);
  return commands;
}

/**
 * A deno command that resolves its imports by another map than the one in deno.json.
 *
 * @param args The arguments that deno is called with, the subcommand first.
 * @param importMap The path of the import map.
 */
export function withImportMap(args: string[], importMap: string): string[] {
  const [subcommand, ...rest] = args;
  if (!RESOLVING.includes(subcommand)) return args;
  return [subcommand, `--import-map=${importMap}`, ...rest];
}
