/** No WebGPU adapter or device could be had; the message says what to install. */
export class GpuUnavailableError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "GpuUnavailableError";
}

/** The device was lost: nothing that was pending on it will come, and everything on it is gone. */
export class DeviceLostError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "DeviceLostError";
}

/** The GPU refused some work (validation, out of memory, internal), so that its results must not be used. */
export class GpuWorkError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "GpuWorkError";
}

/** The bytes are no snapshot of a cache, or a damaged one, or of a cache of another shape; nothing was restored. */
export class SnapshotError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "SnapshotError";
}

/**
 * A checkpoint cannot be read: a file that is damaged, cut short or of another format, a tensor of another shape, or a
 * configuration that the decoder does not have. The message names the file, the tensor or field, and the values.
 */
export class CheckpointError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "CheckpointError";
}
