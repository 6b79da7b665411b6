/** Asking a system for one attention, and what came of it. */
import type { Asked, Inputs } from "../asked.ts";
import { DeviceLostError } from "../../mod.ts";
import { errorOf, TOLERANCE } from "../verify.ts";
import { AbsentError, LoadError, type Peer, type Prepared } from "./peer.ts";

/** `"refused"`: it says that it cannot; `"absent"`: its interface has no such option. */
export type Attempt<Made = Prepared> =
  | { verdict: "right"; error: number; prepared: Made }
  | { verdict: "wrong"; error: number }
  | Failure;

/** The reason why a system gave no output; of one whose interface has no such option, the page that says so. */
export interface Failure {
  verdict: "refused" | "absent" | "not loaded";
  message: string;
  source?: string;
}

/**
 * Prepares and runs a system once, and compares with the float64 reference.
 *
 * @returns What came of it; where that is right, ready to run again, and the caller's to destroy.
 */
export function attempt(peer: Peer, asked: Asked, inputs: Inputs): Promise<Attempt> {
  return attemptBy(() => peer.prepare(asked, inputs), async (prepared) => ({
    error: errorOf(asked, await prepared.output()),
    tolerance: prepared.tolerance ?? TOLERANCE[asked.dtype],
  }));
}

/** As {@linkcode attempt}, of anything that a system prepares: `judge` compares what it gave when it ran. */
export async function attemptBy<Made extends Pick<Prepared, "run" | "destroy">>(
  prepare: () => Promise<Made>,
  judge: (made: Made) => Promise<{ error: number; tolerance: number }>,
): Promise<Attempt<Made>> {
  let prepared: Made | undefined;
  try {
    prepared = await prepare();
    await prepared.run(1);
    const { error, tolerance } = await judge(prepared);
    if (error <= tolerance) return { verdict: "right", error, prepared };
    await prepared.destroy();
    return { verdict: "wrong", error };
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    await prepared?.destroy();
    return failureBy(error);
  }
}

/** What an error of a system says of it, and why. */
function failureBy(error: unknown): Failure {
  const source = error instanceof AbsentError ? error.source : undefined;
  return { verdict: verdictOn(error), message: messageOf(error), ...(source && { source }) };
}

/** The reason why an attempt cannot be timed; undefined if it is right. */
export function failureOf(attempt: Attempt<unknown>): string | undefined {
  if (attempt.verdict === "right") return undefined;
  return attempt.verdict === "wrong"
    ? `wrong: error ${attempt.error.toExponential(1)}`
    : attempt.message;
}

/** What an error of a system says of it. */
export function verdictOn(error: unknown): "refused" | "absent" | "not loaded" {
  if (error instanceof AbsentError) return "absent";
  return error instanceof LoadError ? "not loaded" : "refused";
}

/** The message in one line; systems throw all kinds of things. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : `${error}`;
  return message.replaceAll(/\s+/g, " ").trim() || "an error without a message";
}
