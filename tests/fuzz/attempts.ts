/** Calls that are counted and watched: what a refusal must be, and what must never reach the device. */
import { type Gpu, SnapshotError } from "../../mod.ts";

/** How many calls there were of each kind, how many of them were refused, and the longest that a refusal took. */
export type CallsReport = Record<string, { calls: number; refused: number; longestMs: number }>;

const LONGEST_MESSAGE = 2000;

/** Watches calls on a device; `using` ends the watch. */
export class Attempts {
  readonly report: CallsReport = {};
  readonly #end: () => void;
  #submits = 0;

  constructor({ device }: Gpu) {
    const { queue } = device;
    const { submit, writeBuffer } = queue;
    const { createCommandEncoder } = device;
    queue.submit = (buffers) => {
      this.#submits++;
      return submit.call(queue, buffers);
    };
    // An empty write aborts some runtimes.
    queue.writeBuffer = (
      buffer,
      offset,
      data: ArrayBufferView<ArrayBuffer> | ArrayBuffer,
      ...rest
    ) => {
      if (data.byteLength === 0) throw new Error("an empty write reached the device");
      return writeBuffer.call(queue, buffer, offset, data, ...rest);
    };
    device.createCommandEncoder = (descriptor) =>
      watched(createCommandEncoder.call(device, descriptor));
    this.#end = () => {
      Object.assign(queue, { submit, writeBuffer });
      Object.assign(device, { createCommandEncoder });
    };
  }

  /** What a call gives; undefined where it was refused, which only a wrong one may be, before anything was submitted. */
  async of<Value>(
    kind: string,
    isWrong: boolean,
    call: () => Value | Promise<Value>,
  ): Promise<{ value: Value } | undefined> {
    const counts = this.report[kind] ??= { calls: 0, refused: 0, longestMs: 0 };
    counts.calls++;
    const before = this.#submits;
    const start = performance.now();
    try {
      return { value: await call() };
    } catch (error) {
      const { message } = error as Error;
      const isTyped = [TypeError, RangeError, SnapshotError].some((kind) =>
        error instanceof kind
      ) && /^Cannot .+ as .+/s.test(message);
      if (!isWrong || !isTyped) throw new Error(`${kind} was refused`, { cause: error });
      if (this.#submits > before) throw new Error(`${kind} was refused too late`, { cause: error });
      if (message.length > LONGEST_MESSAGE) {
        throw new Error(`${kind}: ${message.length} characters`);
      }
      counts.refused++;
      counts.longestMs = Math.max(counts.longestMs, performance.now() - start);
    }
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}

/** An encoder that takes no copy and no clear of nothing. */
function watched(encoder: GPUCommandEncoder): GPUCommandEncoder {
  const { copyBufferToBuffer, clearBuffer } = encoder;
  encoder.copyBufferToBuffer = (...given: unknown[]) => {
    if (given.at(-1) === 0) throw new Error("an empty copy reached the device");
    return (copyBufferToBuffer as (...given: unknown[]) => undefined).apply(encoder, given);
  };
  encoder.clearBuffer = (buffer, offset, size) => {
    if (size === 0) throw new Error("an empty clear reached the device");
    return clearBuffer.call(encoder, buffer, offset, size);
  };
  return encoder;
}
