/** `bench compare`: what became faster or slower from one report to another. */
import { Arguments } from "../../cli/shared/arguments.ts";
import { Files } from "../../cli/shared/files.ts";
import { exitCodeOf, type Out } from "../../cli/shared/run.ts";
import { parseReport } from "../report/parse.ts";
import { compareReports } from "./compare.ts";
import { formatComparison, type NamedReport } from "./table.ts";

const ACTION = "compare reports";

export const HELP =
  `Says what became faster or slower beyond noise, from one report of the bench to another.

Usage: deno run bench compare BEFORE.json AFTER.json [options]

A row is faster where nine tenths of its times lie below all those before, slower the other way round: both for the times
as they are, and with the change of the adapter's own rates taken out. Below five samples nothing is said.

  --json FILE        all rows, for programs
  --help             this text`;

const files = new Files(ACTION);

/** Runs the command and returns its exit code, which is 1 also where a row is slower or fails now. */
export async function runCompare(
  args: readonly string[],
  out: Pick<Out, "log" | "error">,
): Promise<number> {
  let isWorse = false;
  const code = await exitCodeOf(async () => {
    const names = args.slice(0, 2).filter((arg) => !arg.startsWith("-"));
    const given = new Arguments(ACTION, args.slice(names.length), { names: ["json"] });
    if (given.isHelp) return out.log(HELP);
    if (names.length < 2) {
      throw new TypeError(
        `Cannot ${ACTION} without two files: bench compare BEFORE.json AFTER.json`,
      );
    }
    const json = given.text("json");
    await files.checkWritable(json);
    const [before, after] = await Promise.all(names.map(readReport));
    const comparison = compareReports(before.report, after.report);
    out.log(formatComparison(before, after, comparison));
    const { rows } = comparison;
    isWorse = rows.some(({ verdict }) => verdict === "slower" || verdict === "fails now");
    if (json) {
      const sides = { before: before.name, after: after.name };
      const text = JSON.stringify({ schema: 1, ...sides, ...comparison }, null, 2);
      await files.write(json, text + "\n");
    }
  }, out);
  return code === 0 && isWorse ? 1 : code;
}

async function readReport(name: string): Promise<NamedReport> {
  return { name, report: parseReport(await files.readText(name), name) };
}
