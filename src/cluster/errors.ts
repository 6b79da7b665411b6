/**
 * A worker ended, or has been silent for too long: what it was asked for does not come. Another worker can be asked.
 *
 * @example
 * ```ts
 * import { WorkerLostError } from "@onehead/attention/cluster";
 *
 * const error = new WorkerLostError("Worker A7 was lost");
 * console.log(error.name); // WorkerLostError
 * ```
 */
export class WorkerLostError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "WorkerLostError";
}

/**
 * A worker has no room now: it did not begin. Another worker can be asked, or the same one later.
 *
 * @example
 * ```ts
 * import { WorkerBusyError } from "@onehead/attention/cluster";
 *
 * const error = new WorkerBusyError("4 sequences wait already");
 * console.log(error.name); // WorkerBusyError
 * ```
 */
export class WorkerBusyError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "WorkerBusyError";
}

/**
 * Nobody is there to be asked: no worker of the model, or none of a name. Nothing began.
 *
 * @example
 * ```ts
 * import { NoWorkerError } from "@onehead/attention/cluster";
 *
 * const error = new NoWorkerError("No worker answers");
 * console.log(error.name); // NoWorkerError
 * ```
 */
export class NoWorkerError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "NoWorkerError";
}

/**
 * A message of a peer is damaged, too long, of another version, or of another model; nothing of it was used.
 *
 * @example
 * ```ts
 * import { MessageError } from "@onehead/attention/cluster";
 *
 * const error = new MessageError("Cannot read a message as it is of version 2, and not 1");
 * console.log(error.name); // MessageError
 * ```
 */
export class MessageError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "MessageError";
}

/**
 * A shard of a context is lost, with no other copy of it: what was asked for is not there, and nothing was merged. The message
 * names the shard.
 *
 * @example
 * ```ts
 * import { ShardLostError } from "@onehead/attention/cluster";
 *
 * const error = new ShardLostError("Shard 2 was lost: its worker ended");
 * console.log(error.name); // ShardLostError
 * ```
 */
export class ShardLostError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "ShardLostError";
}

/**
 * A NATS server did not take a job, or did not say in time that it has it. The job may be added again: the server keeps it once.
 *
 * @example
 * ```ts
 * import { JobNotTakenError } from "@onehead/attention/cluster";
 *
 * const error = new JobNotTakenError("Cannot add a job as the server's disk is full");
 * console.log(error.name); // JobNotTakenError
 * ```
 */
export class JobNotTakenError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "JobNotTakenError";
}
