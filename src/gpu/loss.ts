/** The loss of a device: every caller that waits is told, and no call goes on with what is gone. */
import { DeviceLostError } from "../base/errors.ts";

/**
 * A runtime may reject what is pending before it says that the device is lost: by fewer rounds of its event loop than these, each
 * of so many milliseconds. Of a machine that is busy, time alone says nothing.
 */
const NOTICE = { rounds: 4, ms: 5 };

/** Whether one device is lost. */
export class DeviceLoss {
  #error: DeviceLostError | undefined;
  readonly #waiting = new Set<(error: DeviceLostError) => void>();

  constructor(device: GPUDevice) {
    void device.lost.then(({ reason, message }) => this.#lose(reason, message));
    // Runtimes resolve calls on a destroyed device as if it were there, and say only afterwards that it is lost.
    const destroy = device.destroy.bind(device);
    device.destroy = () => {
      destroy();
      this.#lose("destroyed", "destroy() was called");
    };
  }

  /** Throws a `DeviceLostError` if the device is lost. */
  throwIfLost(): void {
    if (this.#error) throw this.#error;
  }

  /** Waits for a promise of WebGPU, or for the loss of the device. */
  async waitFor<Value>(pending: Promise<Value>): Promise<Value> {
    // A device that is lost rejects it too, when no caller waits for it any more.
    pending.catch(() => {});
    this.throwIfLost();
    const { promise: lost, reject } = Promise.withResolvers<never>();
    this.#waiting.add(reject);
    try {
      const value = await Promise.race([pending, lost]);
      this.throwIfLost();
      return value;
    } catch (error) {
      throw await this.causeOf(error);
    } finally {
      this.#waiting.delete(reject);
    }
  }

  /** The loss of the device if that is why a call failed, as runtimes say it in words of their own; otherwise the error. */
  async causeOf(error: unknown): Promise<unknown> {
    for (let round = 0; round < NOTICE.rounds && !this.#error; round++) {
      await new Promise((resolve) => setTimeout(resolve, NOTICE.ms));
    }
    return this.#error ?? error;
  }

  #lose(reason: string, message: string): void {
    this.#error ??= new DeviceLostError(
      `Cannot use the GPU device as it was lost (${reason}): ${message || "no message"}`,
    );
    for (const reject of this.#waiting) reject(this.#error);
  }
}

const known = new WeakMap<GPUDevice, DeviceLoss>();

/** The same for the same device. */
export function lossOf(device: GPUDevice): DeviceLoss {
  let loss = known.get(device);
  if (!loss) known.set(device, loss = new DeviceLoss(device));
  return loss;
}
