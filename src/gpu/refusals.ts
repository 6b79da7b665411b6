/**
 * Whose is an error? WebGPU tells it to the error scope around the call that made it; outside every scope it names neither
 * the work nor the buffers that it concerns. Here each error has an owner:
 *
 * - Work that the library submits is watched: an error in it rejects the call that submitted it, and no other.
 * - Work of the library that the caller submits is not watched. An error outside every scope belongs to all such work since
 *   the last wait that found none: downloads of what that work writes throw, and so does work that reads it.
 * - Where there is no such work, the error belongs to calls that the caller makes to WebGPU, which may have been to write any
 *   tensor but those that watched work wrote last: the next download of each throws.
 */
import { GpuWorkError } from "../base/errors.ts";
import { cut } from "../base/excerpt.ts";

/** An error, and the work that it concerns. */
interface Refusal {
  message: string;
  /** The numbers of the work: above `after`, up to `upTo`; none where the error belongs to the caller's own calls. */
  after: number;
  upTo: number;
  /** Whether a call has thrown it. */
  isTold: boolean;
}

/** Errors that are kept; the oldest go. */
const MOST = 4096;
/** Most characters of the messages of one throw. */
const LONGEST = 1500;

/** The errors of one device. Work has numbers: from 1 up where the caller submits it, from -1 down where it is watched. */
export class Refusals {
  readonly #refusals: Refusal[] = [];
  /** The number of the last work that was encoded for the caller to submit. */
  #encoded = 0;
  /** The number of the last such work before a wait that found no error. */
  #settled = 0;
  /** The number of the last watched work. */
  #watched = 0;
  #isWatching = false;
  /** The number of the last work that writes a buffer. */
  readonly #writers = new WeakMap<GPUBuffer, number>();
  /** The last error before a buffer was made, or that a download of it has thrown. */
  readonly #last = new WeakMap<GPUBuffer, Refusal | undefined>();

  constructor(device: GPUDevice) {
    device.addEventListener("uncapturederror", (event) => {
      const { message } = (event as GPUUncapturedErrorEvent).error;
      console.error(`WebGPU error: ${message}`);
      this.#add({ message, after: this.#settled, upTo: this.#encoded, isTold: false });
    });
  }

  /** Runs what encodes and submits watched work, and must not throw; `refuse` is for an error in that work. */
  watch<Outcome>(run: () => Outcome): { outcome: Outcome; refuse(message: string): void } {
    const isWithin = this.#isWatching;
    const upTo = isWithin ? this.#watched : --this.#watched;
    this.#isWatching = true;
    const outcome = run();
    this.#isWatching = isWithin;
    return {
      outcome,
      refuse: (message) => this.#add({ message, after: upTo - 1, upTo, isTold: true }),
    };
  }

  /** Remembers that a buffer is new: no earlier error concerns it. */
  made(buffer: GPUBuffer): void {
    if (!this.#last.has(buffer)) this.#last.set(buffer, this.#refusals.at(-1));
  }

  /** Remembers that work was encoded which writes the buffers. */
  wrote(buffers: Iterable<GPUBuffer>): void {
    const number = this.#isWatching ? this.#watched : ++this.#encoded;
    for (const buffer of buffers) this.#writers.set(buffer, number);
  }

  /** Throws if one of the buffers was to be written by work that was refused; `rule` says what that means. */
  throwIfRefused(action: string, rule: string, buffers: Iterable<GPUBuffer>): void {
    if (this.#refusals.length === 0) return;
    for (const buffer of buffers) throwAny(action, rule, this.#of(buffer));
  }

  /** Throws if a buffer may not have the contents that it was to have. */
  throwIfStale(action: string, buffer: GPUBuffer): void {
    throwAny(action, "the GPU refused work that was to write it", this.#of(buffer));
    if ((this.#writers.get(buffer) ?? 0) < 0) return;
    const last = this.#last.get(buffer);
    const later = this.#refusals.slice(last ? this.#refusals.indexOf(last) + 1 : 0);
    this.#last.set(buffer, this.#refusals.at(-1));
    const own = later.filter(({ after, upTo }) => after === upTo);
    throwAny(action, "the GPU refused work that may have been to write it", own);
  }

  /** Throws what no call has thrown yet. */
  throwIfUntold(action: string): void {
    throwAny(action, "the GPU refused work", this.#refusals.filter(({ isTold }) => !isTold));
  }

  /** Called before a wait for all that was submitted; what it returns is called after it, when every error has come. */
  beforeWait(): () => void {
    const encoded = this.#encoded;
    return () => {
      this.#settled = Math.max(this.#settled, encoded);
    };
  }

  /** The refusals of the last work that writes a buffer. */
  #of(buffer: GPUBuffer): Refusal[] {
    const writer = this.#writers.get(buffer);
    if (writer === undefined) return [];
    return this.#refusals.filter(({ after, upTo }) => after < writer && writer <= upTo);
  }

  #add(refusal: Refusal): void {
    this.#refusals.push(refusal);
    if (this.#refusals.length > MOST) this.#refusals.shift();
  }
}

function throwAny(action: string, rule: string, refusals: readonly Refusal[]): void {
  if (refusals.length === 0) return;
  for (const refusal of refusals) refusal.isTold = true;
  const messages = cut(refusals.map(({ message }) => message).join("; "), LONGEST);
  throw new GpuWorkError(`Cannot ${action} as ${rule}: ${messages}`);
}

const known = new WeakMap<GPUDevice, Refusals>();

/** The same for the same device. */
export function refusalsOf(device: GPUDevice): Refusals {
  let refusals = known.get(device);
  if (!refusals) known.set(device, refusals = new Refusals(device));
  return refusals;
}
