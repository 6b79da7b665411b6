/** Where a command writes what people read. */
export interface Out {
  /** A line of results. */
  log(text: string): void;
  /** A line of what went wrong, or of what is under way. */
  error(text: string): void;
  /** A part of a line of results. */
  write(text: string): void;
}

/** The terminal, or whatever stands in its place. */
export const terminal: Out = {
  log: (text) => console.log(text),
  error: (text) => console.error(text),
  write: (text) => void Deno.stdout.writeSync(new TextEncoder().encode(text)),
};

/** Errors of what a command was given, by name. */
const MISTAKES = ["TypeError", "RangeError", "CheckpointError"];

/** Runs a command and returns its exit code: 2 where what it was given is wrong, 1 where something else failed. */
export async function exitCodeOf(
  run: () => Promise<void>,
  out: Pick<Out, "error">,
): Promise<number> {
  try {
    await run();
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    out.error(`${error.name}: ${error.message}`);
    return MISTAKES.includes(error.name) ? 2 : 1;
  }
}
