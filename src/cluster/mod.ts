/**
 * More than one machine, over NATS: workers that answer requests, and those who ask them.
 *
 * @module
 */
export type { Cluster, Connection } from "./cluster.ts";
export { type Answer, AnswerService, type AnswerServiceOptions } from "./answer_service.ts";
export { ask, type AskOptions } from "./ask.ts";
export { type Worker, Workers, type WorkersOptions } from "./workers.ts";
export { modelFingerprint } from "./fingerprint.ts";
export { MessageError, NoWorkerError, WorkerBusyError, WorkerLostError } from "./errors.ts";
export {
  type JobOutcome,
  JobQueue,
  type JobQueueOptions,
  type JobWorkOptions,
} from "./job_queue.ts";
