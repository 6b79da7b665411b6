/** The command line of a long random run: so many of something, from a seed. */
import { Arguments } from "../../cli/shared/arguments.ts";

/** What the command line asks for. */
export interface LongRun {
  /** How many. */
  count: number;
  /** Of the random numbers. */
  seed: number;
  /** File for the result. */
  json?: string;
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

/** Reads a command line; undefined where it asked for help, which is then printed. */
export function longRunOf(args: readonly string[], about: LongRunAbout): LongRun | undefined {
  const { summary, task, counted, counts, count } = about;
  const given = new Arguments(task, args, { names: [counted, "seed", "json"] });
  if (given.isHelp) {
    console.log(`${summary}

Usage: deno run ${task} [options]

${`  --${counted} NUMBER`.padEnd(19)}  ${counts} (default: ${count})
  --seed NUMBER      repeats a run (default: a fresh one, which is printed)
  --json FILE        the result, for programs
  --help             this text`);
    return undefined;
  }
  const fresh = crypto.getRandomValues(new Uint32Array(1))[0];
  return {
    count: given.number(counted, { min: 0 }) ?? count,
    seed: given.number("seed", { min: 0 }) ?? fresh,
    json: given.text("json"),
  };
}

function readOptions(about: LongRunAbout): LongRun | undefined {
  try {
    return longRunOf(Deno.args, about);
  } catch (error) {
    console.error(`${error}`);
    Deno.exit(2);
  }
}

/** Runs it to the end of the process; wrong options are said in a line. */
export async function runLong(
  about: LongRunAbout,
  work: (options: LongRun) => Promise<{ faults: readonly string[] }>,
): Promise<never> {
  const options = readOptions(about);
  if (!options) Deno.exit(0);
  try {
    console.log(`seed ${options.seed}`);
    const result = await work(options);
    if (options.json) {
      const { seed } = options;
      await Deno.writeTextFile(options.json, JSON.stringify({ seed, ...result }, null, 2));
    }
    for (const fault of result.faults) console.error(fault);
    Deno.exit(result.faults.length === 0 ? 0 : 1);
  } catch (error) {
    console.error(error);
    Deno.exit(1);
  }
}
