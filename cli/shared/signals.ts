/** Commands that run until a signal ends them. */
import type { Out } from "./run.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Waits for a signal, then for `finish`, which lets what runs come to its end; a second signal ends the process at once. Where
 * `failed` rejects before, `finish` is waited for too, and the error is thrown.
 */
export async function untilSignal(
  out: Pick<Out, "error">,
  finish: () => Promise<unknown>,
  failed?: Promise<never>,
): Promise<void> {
  let end = () => {};
  const signalled = new Promise<void>((resolve) => end = resolve);
  let isEnding = false;
  const onSignal = () => {
    if (isEnding) Deno.exit(1);
    isEnding = true;
    out.error("Finishing what runs; a second signal ends it at once.");
    end();
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, onSignal);
  try {
    try {
      await Promise.race([signalled, failed ?? signalled]);
    } finally {
      await finish();
    }
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, onSignal);
  }
}
