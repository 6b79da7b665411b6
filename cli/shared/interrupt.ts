/** The exit code of a process that Ctrl-C ended. */
export const INTERRUPTED = 130;

/** Runs work that Ctrl-C asks to end: the signal is aborted at the first one, and a second one ends the process as ever. */
export type WithInterrupt = <Value>(use: (signal: AbortSignal) => Promise<Value>) => Promise<Value>;

/** Listens for Ctrl-C while work runs. */
export const withCtrlC: WithInterrupt = async (use) => {
  const controller = new AbortController();
  const abort = () => {
    controller.abort();
    Deno.removeSignalListener("SIGINT", abort);
  };
  Deno.addSignalListener("SIGINT", abort);
  try {
    return await use(controller.signal);
  } finally {
    if (!controller.signal.aborted) Deno.removeSignalListener("SIGINT", abort);
  }
};
