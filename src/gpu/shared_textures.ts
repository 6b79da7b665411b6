/** Textures that works of one device share: the smallest of a name that is large enough, freed with the last of its users. */
import type { Owned } from "./owned.ts";
import { TEXEL_BYTES, TEXTURE_FORMAT, TEXTURE_USAGE } from "./usage.ts";

/** What makes textures: a `Gpu`, which counts them. */
export interface TextureMaker {
  readonly device: GPUDevice;
  guard<Value>(action: string, create: () => Value): Promise<Value>;
}

/** A texture and the number of its users. */
interface SharedTexture {
  name: string;
  width: number;
  height: number;
  /** The texture once the device has granted its memory. */
  granted: Promise<GPUTexture>;
  /** Whether it has: until then the texture may be refused. */
  isGranted: boolean;
  /** Frees it. */
  destroy(): void;
  users: number;
}

const known = new WeakMap<GPUDevice, Set<SharedTexture>>();

/**
 * A texture of a name and a width, and of at least a height: that of other users on the device, where there are some. `owned` is
 * one of its users.
 *
 * A user fills all that it reads of the texture in the same bound work, before it reads. The dispatches of a work stand together
 * in a pass, and a queue runs them in their order: nobody else's fill comes in between.
 *
 * @throws {GpuWorkError} If the device refuses the memory.
 */
export async function sharedTexture(
  gpu: TextureMaker,
  owned: Owned,
  name: string,
  size: readonly [width: number, height: number],
): Promise<GPUTexture> {
  const textures = known.get(gpu.device) ?? new Set();
  known.set(gpu.device, textures);
  const texture = fitting(textures, name, size) ?? create(gpu, name, size);
  textures.add(texture);
  texture.users++;
  owned.keep({
    destroy() {
      if (--texture.users > 0) return;
      textures.delete(texture);
      texture.destroy();
    },
  });
  try {
    const granted = await texture.granted;
    texture.isGranted = true;
    return granted;
  } catch (error) {
    // Whoever comes next tries anew.
    textures.delete(texture);
    throw error;
  }
}

/** Bytes of all textures of a device that have a user. */
export function textureBytesOf(device: GPUDevice): number {
  return [...known.get(device) ?? []].reduce(
    (sum, { width, height }) => sum + width * height * TEXEL_BYTES,
    0,
  );
}

/**
 * The smallest texture that is large enough: lines that a user does not fill, it does not read. None waits for memory that another
 * asked more of, which may be refused where its own is granted.
 */
function fitting(
  textures: Iterable<SharedTexture>,
  wanted: string,
  [wide, high]: readonly [width: number, height: number],
): SharedTexture | undefined {
  return [...textures]
    .filter(({ name, width, height, isGranted }) =>
      name === wanted && width === wide && (height === high || isGranted && height > high)
    )
    .toSorted((a, b) => a.height - b.height)[0];
}

function create(
  gpu: TextureMaker,
  name: string,
  [width, height]: readonly [width: number, height: number],
): SharedTexture {
  let texture: GPUTexture | undefined;
  const granted = gpu.guard(`allocate ${name}`, () =>
    texture = gpu.device.createTexture({
      ...{ label: name, size: [width, height], format: TEXTURE_FORMAT },
      usage: TEXTURE_USAGE.textureBinding | TEXTURE_USAGE.storageBinding,
    }));
  const destroy = () => texture?.destroy();
  return { name, width, height, granted, isGranted: false, destroy, users: 0 };
}
