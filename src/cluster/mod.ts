/**
 * More than one machine, over NATS: workers that answer requests, and those who ask them.
 *
 * @module
 */
export type { Cluster, Connection } from "./cluster.ts";
export { type Answer, AnswerService, type AnswerServiceOptions } from "./answer_service.ts";
export { ask, type AskOptions } from "./ask.ts";
export { type Worker, Workers, type WorkersOptions } from "./workers.ts";
export { connect, type ConnectOptions } from "./connect.ts";
export { modelFingerprint } from "./fingerprint.ts";
export {
  JobNotTakenError,
  MessageError,
  NoWorkerError,
  ShardLostError,
  WorkerBusyError,
  WorkerLostError,
} from "./errors.ts";
export {
  type JobOutcome,
  JobQueue,
  type JobQueueOptions,
  type JobWorkOptions,
} from "./job_queue.ts";
export { ShardWorker, type ShardWorkerOptions } from "./shard_worker.ts";
export type { RemoteKv, RemoteKvSpec, RemoteTokens } from "../model/remote_kv.ts";
export { ShardedKv, type ShardedKvOptions } from "./sharded_kv.ts";
export type { ShardSpec } from "./shard_spec.ts";
export type { ShardLayout } from "./shard_layout.ts";
export type { Patience } from "./next_message.ts";
