// A stand-in for `parseArgs` of `@std/cli/parse-args`, for machines where JSR cannot be reached: what the bench asks of it,
// over `node:util`.

import { parseArgs as parseTokens } from "node:util";

/** The options; see `@std/cli/parse-args`. */
export interface ParseOptions<S extends string, B extends string> {
  /** Names that take a value; "" where none is given. */
  string?: readonly S[];
  /** Names that take none but `=true` and `=false`; false where absent. */
  boolean?: readonly B[];
  /** A letter that stands for a name. */
  alias?: Readonly<Record<string, string>>;
  /** Called with every argument that is neither an option named above nor the value of one; those after `--` are left out. */
  unknown?: (arg: string) => unknown;
}

/** Parses `--name value`, `--name=value`, `--flag` and `-f`; of an option that is given twice, the last counts. */
export function parseArgs<S extends string = never, B extends string = never>(
  args: readonly string[],
  { string = [], boolean = [], alias = {}, unknown }: ParseOptions<S, B>,
): { [K in S]?: string } & { [K in B]: boolean } {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const name of string) options[name] = { type: "string" };
  for (const name of boolean) options[name] = { type: "boolean" };
  for (const [name, letter] of Object.entries(alias)) options[name].short = letter;

  // node:util would take "--other" as the value in "--name --other"; here, --name has none.
  const isBare = (arg: string, next?: string) =>
    arg.startsWith("--") && options[arg.slice(2)]?.type === "string" && next?.startsWith("-");
  const explicit = args.map((arg, i) => isBare(arg, args[i + 1]) ? `${arg}=` : arg);
  const { tokens } = parseTokens({ args: explicit, options, strict: false, tokens: true });

  const values: Record<string, string | boolean> = {};
  for (const name of boolean) values[name] = false;
  for (const token of tokens) {
    if (token.kind === "option-terminator") break;
    const type = token.kind === "option" ? options[token.name]?.type : undefined;
    if (token.kind === "positional" || !type) unknown?.(args[token.index]);
    else values[token.name] = type === "string" ? token.value ?? "" : token.value !== "false";
  }
  return values as { [K in S]?: string } & { [K in B]: boolean };
}
