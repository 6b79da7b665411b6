/** Errors of one peer as another is told them. */
import { sentence } from "../base/check.ts";
import { DeviceLostError, SnapshotError } from "../base/errors.ts";
import { cutMessage } from "../base/excerpt.ts";
import { MessageError, WorkerBusyError, WorkerLostError } from "./errors.ts";

const KINDS = ["lost", "busy", "TypeError", "RangeError", "SnapshotError", "Error"] as const;

/** An error; `lost` and `busy` leave the work to another worker. */
export interface Failure {
  failure: typeof KINDS[number];
  message: string;
}

/** What a peer is told of an error. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : `${error}`;
  return { failure: kindOf(error), message };
}

/**
 * Checks a failure.
 *
 * @throws {MessageError} If it is none.
 */
export function readFailure(value: unknown): Failure {
  const { failure, message } = (value ?? {}) as Record<string, unknown>;
  const kind = KINDS.find((kind) => kind === failure);
  if (kind && typeof message === "string") return { failure: kind, message: cutMessage(message) };
  throw new MessageError(
    sentence("read a failure", `it must be one of ${KINDS.join(", ")}, with its message`, {
      failure,
    }),
  );
}

/** The error of a failure; `peer` names whose it is. */
export function errorOf({ failure, message }: Failure, peer: string): Error {
  if (failure === "busy") return new WorkerBusyError(message);
  if (failure === "lost") return new WorkerLostError(`${peer} was lost: ${message}`);
  if (failure === "SnapshotError") return new SnapshotError(message);
  if (failure === "TypeError") return new TypeError(message);
  return failure === "RangeError" ? new RangeError(message) : new Error(message);
}

function kindOf(error: unknown): Failure["failure"] {
  if (error instanceof WorkerBusyError) return "busy";
  if (error instanceof DeviceLostError || error instanceof WorkerLostError) return "lost";
  if (error instanceof SnapshotError) return "SnapshotError";
  if (error instanceof TypeError) return "TypeError";
  // Whoever sent what cannot be read has to send something else.
  return error instanceof RangeError || error instanceof MessageError ? "RangeError" : "Error";
}
