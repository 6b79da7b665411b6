import { INTERRUPTED } from "./interrupt.ts";
import { type Progress, TerminalProgress } from "./progress.ts";
import { CheckpointError } from "../../mod.ts";
import { NoWorkerError } from "../../src/cluster/errors.ts";

/** Where a command writes what people read. */
export interface Out {
  /** A line of results. */
  log(text: string): void;
  /** A line of what went wrong, or of what is under way. */
  error(text: string): void;
  /** Text within a line of results. */
  write(text: string): void;
  /** Shows the progress of work of `steps` steps, of which some may be done already. */
  progress(steps: number, done?: number): Progress;
}

/** The terminal, or whatever stands in its place. */
export const terminal: Out = {
  log: (text) => console.log(text),
  error: (text) => console.error(text),
  write: (text) => void Deno.stdout.writeSync(new TextEncoder().encode(text)),
  progress: (steps, done) => new TerminalProgress(steps, done),
};

/** The errors of wrong options and inputs, and of workers that were not started. */
const WRONG_INPUT = [TypeError, RangeError, CheckpointError, NoWorkerError];

/** Runs a command and returns its exit code: 2 where what it was given is wrong, 1 where something else failed. */
export async function exitCodeOf(
  run: () => Promise<void>,
  out: Pick<Out, "error">,
): Promise<number> {
  try {
    await run();
    return 0;
  } catch (error) {
    out.error(error instanceof Error ? `${error.name}: ${error.message}` : `${error}`);
    return WRONG_INPUT.some((kind) => error instanceof kind) ? 2 : 1;
  }
}

/** Runs a command that Ctrl-C can end before it is done, which `run` says by false, and returns its exit code. */
export async function exitCodeOfInterruptible(
  run: () => Promise<boolean>,
  out: Pick<Out, "error">,
): Promise<number> {
  let isDone = true;
  const code = await exitCodeOf(async () => {
    isDone = await run();
  }, out);
  return isDone ? code : INTERRUPTED;
}
