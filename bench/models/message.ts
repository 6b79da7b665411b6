/** The messages between the bench and the processes of the systems: a line of JSON each, replies behind a mark. */
import type { GpuWork } from "./gpu_work.ts";
import type { KernelTime } from "./kernel_clock.ts";
import type { ModelChoice } from "./model.ts";
import type { Sequences } from "./system.ts";

/** The work of a process, in its arguments. */
export interface Job extends Sequences {
  /** The name of the system. */
  system: string;
  model: ModelChoice;
}

/** Sequences to continue. */
export interface Request {
  prompts: readonly (readonly number[])[];
  tokens: number;
  /** Whether each kernel is timed, which slows down the rest. */
  timesKernels?: boolean;
}

/** What a process says first: its model is ready. */
export interface Ready {
  cacheBytes: number | null;
  /** Milliseconds from the start of the system to a model that is ready. */
  loadMs: number;
}

/** What came of a request. */
export interface Answer {
  tokens: number[][];
  milliseconds: number;
  /** Memory of the process that is in use now. */
  residentBytes: number;
  /** The work that its GPU was given; nothing of it by systems without one. */
  work: GpuWork;
  /** The kernels that were timed; null where there are none, or no timestamps. */
  kernels: KernelTime[] | null;
}

/** Why there is nothing more to come. */
export interface Failure {
  verdict: "refused" | "absent" | "not loaded";
  message: string;
}

/** A reply of a process. */
export type Reply = { ready: Ready } | { answer: Answer } | { failure: Failure };

/** The beginning of the line of a reply: workers of a system may print lines of their own. */
const MARK = "onehead: ";

/** The line of a reply. */
export function lineOf(reply: Reply): string {
  return `${MARK}${JSON.stringify(reply)}\n`;
}

/** The reply in a line; undefined in one that is none. */
export function replyIn(line: string): Reply | undefined {
  return line.startsWith(MARK) ? JSON.parse(line.slice(MARK.length)) : undefined;
}

/** The lines of a stream of text. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair)) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
