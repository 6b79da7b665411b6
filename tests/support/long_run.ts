/** Long random runs as commands: so many of something, from a seed. */
import { Arguments } from "../../cli/shared/arguments.ts";
import { exitCodeOf, type Out, terminal } from "../../cli/shared/run.ts";
import { Random } from "./random.ts";

/** What a command line asks for. */
interface LongRunOptions {
  /** How many. */
  count: number;
  /** Of the random numbers. */
  seed: number;
  /** File for the result. */
  json?: string;
}

/** What a run is given. */
export interface LongRun extends Pick<LongRunOptions, "count" | "seed"> {
  /** Random numbers of the seed. */
  random: Random;
  /** Prints a line. */
  log: (line: string) => void;
}

/** What is run, and what its help says. */
export interface LongRunAbout {
  /** What it does, in a line. */
  summary: string;
  /** The name of the task. */
  task: string;
  /** The name of the option that says how many. */
  counted: string;
  /** What is counted. */
  counts: string;
  /** How many without the option. */
  count: number;
}

/**
 * A command that runs `work` and returns its exit code: 2 where options are wrong, 1 where `work` failed or found faults, which are
 * printed.
 */
export function longRun(
  about: LongRunAbout,
  work: (run: LongRun) => Promise<{ faults: readonly string[] }>,
): (args: readonly string[], out: Pick<Out, "log" | "error">) => Promise<number> {
  return (args, out) =>
    exitCodeOf(async () => {
      const options = optionsOf(args, about);
      if (typeof options === "string") return out.log(options);
      const { count, seed, json } = options;
      out.log(`seed ${seed}`);
      const random = new Random(seed);
      const log = (line: string) => out.log(line);
      const result = await work({ count, seed, random, log }).catch((error) => {
        // Of whichever kind: the options were right.
        throw new Error(error.stack, { cause: error });
      });
      if (json) await Deno.writeTextFile(json, JSON.stringify({ seed, ...result }, null, 2));
      const { faults } = result;
      if (faults.length > 0) throw new Error([`faults: ${faults.length}`, ...faults].join("\n"));
    }, out);
}

/** Ends the process by a command's exit code, whatever else is under way. */
export async function exitBy(command: ReturnType<typeof longRun>): Promise<never> {
  Deno.exit(await command(Deno.args, terminal));
}

/** Cells of a table's line, to the right of columns as wide as this. */
export function row(cells: readonly (string | number)[], width: number): string {
  return cells.map((cell) => `${cell}`.padStart(width)).join("");
}

/** Reads a command line; the help where that is asked for. */
function optionsOf(args: readonly string[], about: LongRunAbout): LongRunOptions | string {
  const { summary, task, counted, counts, count } = about;
  const given = new Arguments(`run ${task}`, args, { names: [counted, "seed", "json"] });
  if (given.isHelp) {
    return `${summary}

Usage: deno run ${task} [options]

${`  --${counted} NUMBER`.padEnd(19)}  ${counts} (default: ${count})
  --seed NUMBER      repeats a run (default: a fresh one, which is printed)
  --json FILE        the result, for programs
  --help             this text`;
  }
  const fresh = crypto.getRandomValues(new Uint32Array(1))[0];
  return {
    count: given.number(counted, { min: 0 }) ?? count,
    seed: given.number("seed", { min: 0 }) ?? fresh,
    json: given.text("json"),
  };
}
