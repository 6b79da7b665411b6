/** Bits of WebGPU, whose globals (`GPUBufferUsage`, `GPUMapMode`) not every runtime has. */

/** The uses of a buffer: the bits of `GPUBufferUsage`. */
export const USAGE = {
  mapRead: 0x0001,
  copySrc: 0x0004,
  copyDst: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  queryResolve: 0x0200,
} as const;

/** Whether a buffer can be bound as a uniform: one of a caller's may have been made for storage alone. */
export function canBeUniform({ usage }: GPUBuffer): boolean {
  return (usage & USAGE.uniform) !== 0;
}

/** The format of textures, for kernels that read them and for those that write them, and the bytes of a texel of it. */
export const TEXTURE_FORMAT = "rgba32float";
export const TEXEL_BYTES = 16;

/** The uses of a texture: the bits of `GPUTextureUsage`. */
export const TEXTURE_USAGE = {
  textureBinding: 0x04,
  storageBinding: 0x08,
} as const;

/** The mode of `mapAsync` for readers: `GPUMapMode.READ`. */
export const MAP_READ = 0x0001;
