// A command as part of this process: it gets the signals that this process gets, and its exit code becomes this one's.

/** Signals that ask a process to end; a shell's exit codes for them are 128 and their numbers. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"];

/** Runs deno with arguments to its end; returns its exit code. */
export async function runDeno(args: readonly string[]): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), { args: [...args] }).spawn();
  const passOn = SIGNALS.map((signal) => {
    const pass = () => {
      try {
        child.kill(signal);
      } catch {
        // It has ended already.
      }
    };
    Deno.addSignalListener(signal, pass);
    return () => Deno.removeSignalListener(signal, pass);
  });
  try {
    return (await child.status).code;
  } finally {
    for (const stop of passOn) stop();
  }
}
