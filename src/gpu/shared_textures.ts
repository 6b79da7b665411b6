/** Textures that works of one device share: one of each name and size, freed with the last of its users. */
import type { Gpu } from "./device.ts";
import { TEXTURE_FORMAT } from "./kernel.ts";
import type { Owned } from "./owned.ts";
import { TEXTURE_USAGE } from "./usage.ts";

/** A texture and the number of its users. */
interface SharedTexture {
  /** The texture once the device has granted its memory. */
  granted: Promise<GPUTexture>;
  /** Frees it. */
  destroy(): void;
  users: number;
}

const known = new WeakMap<GPUDevice, Map<string, SharedTexture>>();

/**
 * The texture of a name and a size: that of other users on the device, where there are some. `owned` is one of its users.
 *
 * A user fills all that it reads of the texture in the same bound work, before it reads. The dispatches of a work stand together
 * in a pass, and a queue runs them in their order: nobody else's fill comes in between.
 *
 * @throws {GpuWorkError} If the device refuses the memory.
 */
export async function sharedTexture(
  gpu: Gpu,
  owned: Owned,
  name: string,
  size: readonly [width: number, height: number],
): Promise<GPUTexture> {
  const { device } = gpu;
  const textures = known.get(device) ?? new Map<string, SharedTexture>();
  known.set(device, textures);
  const key = `${name} ${size.join(" x ")}`;
  const texture = textures.get(key) ?? create(gpu, name, size);
  textures.set(key, texture);
  texture.users++;
  const forget = () => {
    if (textures.get(key) === texture) textures.delete(key);
  };
  owned.keep({
    destroy() {
      if (--texture.users > 0) return;
      forget();
      texture.destroy();
    },
  });
  try {
    return await texture.granted;
  } catch (error) {
    // Whoever comes next tries anew.
    forget();
    throw error;
  }
}

function create(gpu: Gpu, label: string, size: readonly [number, number]): SharedTexture {
  let texture: GPUTexture | undefined;
  const granted = gpu.guard(`allocate ${label}`, () =>
    texture = gpu.device.createTexture({
      ...{ label, size: [...size], format: TEXTURE_FORMAT },
      usage: TEXTURE_USAGE.textureBinding | TEXTURE_USAGE.storageBinding,
    }));
  return { granted, destroy: () => texture?.destroy(), users: 0 };
}
