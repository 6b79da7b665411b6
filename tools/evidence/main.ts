// Gathers what a GPU can say of this library into one folder: figures, pictures, tunings, tests.
import { Arguments } from "../../cli/shared/arguments.ts";
import { Files } from "../../cli/shared/files.ts";
import { formatColumns } from "../../cli/shared/report/columns.ts";
import { exitCodeOf, terminal } from "../../cli/shared/run.ts";
import { CANNOT_RUN, minutesFor, type Outcome, outcomeOf, type Step, stepsInto } from "./steps.ts";

const ACTION = "gather evidence";
const MINUTES = 10;

const HELP =
  `Gathers what this machine's GPU can say of the library into one folder: figures, pictures, tunings, tests.

Usage: deno task evidence [options]

  --out FOLDER      where results go (default: evidence)
  --minutes NUMBER  for all steps together: those that are left out are said (default: ${MINUTES})
  --short           few and small inputs, as a software adapter needs
  --help            this text`;

/** A step that has ended. */
interface Ended {
  name: string;
  outcome: Outcome;
  seconds: number;
  /** The last line that it wrote, where it did not pass. */
  says: string;
}

async function main(): Promise<void> {
  const given = new Arguments(ACTION, Deno.args, { names: ["out", "minutes"], flags: ["short"] });
  if (given.isHelp) return terminal.log(HELP);
  const folder = given.text("out") ?? "evidence";
  const minutes = given.number("minutes", { min: 0, isFraction: true }) ?? MINUTES;
  const files = new Files(ACTION);
  await files.makeFolder(folder);
  const ended = await runAll(stepsInto(folder, given.has("short")), { folder, files, minutes });
  terminal.log(formatEnded(ended));
  const failed = ended.filter(({ outcome }) => outcome === "failed");
  if (failed.length > 0) {
    throw new Error(
      `Some steps failed: ${failed.map(({ name }) => `${folder}/${name}.log`).join(", ")}`,
    );
  }
}

/** Runs steps one after the other, as far as the minutes go; the summary has those that have ended. */
async function runAll(
  steps: readonly Step[],
  { folder, files, minutes }: { folder: string; files: Files; minutes: number },
): Promise<Ended[]> {
  const end = performance.now() + minutes * 60_000;
  using progress = terminal.progress(steps.length);
  const ended: Ended[] = [];
  for (const step of steps) {
    progress.step(step.name);
    ended.push(await run(step, folder, (end - performance.now()) / 60_000));
    await files.write(
      `${folder}/summary.json`,
      JSON.stringify({ schema: 1, steps: ended }, null, 2) + "\n",
    );
  }
  return ended;
}

/** Runs a step to its end or to that of its time; what it writes goes to a log beside its results. */
async function run(step: Step, folder: string, left: number): Promise<Ended> {
  const start = performance.now();
  const minutes = minutesFor(step, left);
  const [program, ...args] = step.command;
  const log = `${folder}/${step.name}.log`;
  if (minutes === 0) return { name: step.name, outcome: "out of time", seconds: 0, says: "" };
  let isOutOfTime = false;
  let code = 1;
  let text = "";
  try {
    const signal = AbortSignal.timeout(minutes * 60_000);
    signal.addEventListener("abort", () => isOutOfTime = true);
    const output = await new Deno.Command(program, { args, signal }).output();
    code = output.code;
    text = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes)).join(
      "\n",
    );
  } catch (error) {
    // The program is not there.
    text = `${error}`;
    code = error instanceof Deno.errors.NotFound ? CANNOT_RUN : 1;
  }
  await Deno.writeTextFile(log, text);
  const outcome = outcomeOf(code, isOutOfTime);
  const says = outcome === "passed" ? "" : text.trim().split("\n").at(-1) ?? "";
  return {
    name: step.name,
    outcome,
    seconds: Math.round((performance.now() - start) / 1000),
    says,
  };
}

function formatEnded(ended: readonly Ended[]): string {
  return formatColumns([
    { heading: "step", align: "left", cells: ended.map(({ name }) => name) },
    { heading: "outcome", align: "left", cells: ended.map(({ outcome }) => outcome) },
    { heading: "s", align: "right", cells: ended.map(({ seconds }) => `${seconds}`) },
    { heading: "", align: "left", cells: ended.map(({ says }) => says.slice(0, 100)) },
  ]).join("\n");
}

Deno.exit(await exitCodeOf(main, terminal));
