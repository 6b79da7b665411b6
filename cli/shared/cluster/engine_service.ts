/** A worker: an engine behind a NATS service. */
import { AnswerService, type Cluster, WorkerBusyError } from "../../../src/cluster/mod.ts";
import { PoolExhaustedError } from "../../../mod.ts";
import type { Engine } from "../generation/engine.ts";
import { readSequence, type WorkerState } from "./sequence_message.ts";
import { loadOf } from "./worker_choice.ts";

/** The name of the service that generates tokens. */
export const GENERATE = "generate";

/** What a worker says of itself while it starts: it is there, and has no room yet. */
const STARTING = { places: 0, running: 0, waiting: 0, maxQueue: 0 };

/**
 * Starts to generate for others.
 *
 * @param engine The engine of the moment: another one once a device was lost, and none while the first is opened.
 * @param options The model, the most tokens of a sequence, and how many sequences may wait before others are sent elsewhere.
 */
export function startEngineService(
  cluster: Cluster,
  engine: () => Engine | undefined,
  { fingerprint, contextLen, maxQueue }: {
    fingerprint: string;
    contextLen: number;
    maxQueue: number;
  },
): Promise<AnswerService> {
  const state = (): WorkerState => {
    const stats = engine()?.stats();
    if (!stats) return { ...STARTING, contextLen };
    const { places, pages } = stats;
    return { places, ...loadOf(stats), pages, maxQueue, contextLen };
  };
  return AnswerService.start(cluster, {
    ...{ name: GENERATE, fingerprint, state },
    answer: (message) => {
      const now = engine();
      if (!now) throw new WorkerBusyError("The worker is starting");
      const { waiting } = loadOf(now.stats());
      if (waiting >= maxQueue) throw new WorkerBusyError(`${waiting} sequences wait already`);
      try {
        return now.submit(readSequence(message));
      } catch (error) {
        throw error instanceof PoolExhaustedError ? new WorkerBusyError(error.message) : error;
      }
    },
  });
}
