import { sharedGpu } from "./gpu.ts";

/** The textures that a device has made and not destroyed, by label, in the order in which they were made. */
export class AliveTextures {
  readonly #textures = new Map<GPUTexture, string>();
  readonly #restore: () => void;

  private constructor(device: GPUDevice) {
    const { createTexture } = device;
    this.#restore = () => void (device.createTexture = createTexture);
    device.createTexture = (descriptor) => {
      const texture = createTexture.call(device, descriptor);
      const destroy = texture.destroy.bind(texture);
      texture.destroy = () => {
        this.#textures.delete(texture);
        return destroy();
      };
      this.#textures.set(texture, texture.label);
      return texture;
    };
  }

  /** Watches the shared device from now on. */
  static async watch(): Promise<AliveTextures> {
    return new AliveTextures((await sharedGpu()).device);
  }

  get labels(): string[] {
    return [...this.#textures.values()];
  }

  [Symbol.dispose](): void {
    this.#restore();
  }
}
