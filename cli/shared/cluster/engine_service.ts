/** A worker: an engine behind a NATS service. */
import { AnswerService, type Cluster, WorkerBusyError } from "../../../src/cluster/mod.ts";
import { PoolExhaustedError } from "../../../mod.ts";
import type { Engine } from "../generation/engine.ts";
import { readSequence, type WorkerState } from "./sequence_message.ts";

/** The name of the service that generates tokens. */
export const GENERATE = "generate";

/**
 * Starts to generate for others.
 *
 * @param engine The engine of the moment: another one once a device was lost.
 * @param options The model, and how many sequences may wait before others are sent elsewhere.
 */
export function startEngineService(
  cluster: Cluster,
  engine: () => Engine,
  { fingerprint, maxQueue }: { fingerprint: string; maxQueue: number },
): Promise<AnswerService> {
  const state = (): WorkerState => {
    const { places, running, waiting, pages } = engine().stats();
    return { places, running, waiting, pages, maxQueue, contextLen: engine().contextLen };
  };
  return AnswerService.start(cluster, {
    ...{ name: GENERATE, fingerprint, state },
    answer: (message) => {
      const { waiting } = engine().stats();
      if (waiting >= maxQueue) throw new WorkerBusyError(`${waiting} sequences wait already`);
      try {
        return engine().submit(readSequence(message));
      } catch (error) {
        throw error instanceof PoolExhaustedError ? new WorkerBusyError(error.message) : error;
      }
    },
  });
}
