import type { WeightData } from "../model/weights.ts";

/** The fields that a file has of a tensor. */
export interface TensorDescription {
  /** The file that holds it. */
  file: string;
  /** The element type in the file, as the format calls it: "F32", "F16", "BF16" or another. */
  dtype: string;
  /** Outermost dimension first; empty for a scalar. */
  shape: readonly number[];
  /** Bytes of its elements in the file. */
  bytes: number;
}

/** Named tensors of one file, or of several that belong together. */
export interface TensorFile {
  /** Its name in messages: the path of a file. */
  readonly name: string;
  /** The names of all tensors. */
  readonly names: readonly string[];
  /**
   * The fields of a tensor; undefined if the file has none of that name.
   *
   * @throws {TypeError} If the name is no string.
   */
  describe(name: string): TensorDescription | undefined;
  /**
   * Reads a tensor, converted to f32.
   *
   * @throws {CheckpointError} If there is none of that name, its elements are no floats, or it cannot be read.
   */
  read(name: string): Promise<WeightData>;
  /**
   * Reads some of a tensor's bytes as the file has them.
   *
   * @throws {TypeError} If the offset or the length is no number.
   * @throws {RangeError} If one of them is not a whole number of at least 0.
   * @throws {CheckpointError} If there is none of that name, or not as many bytes, or they cannot be read.
   */
  readBytes(name: string, offset: number, length: number): Promise<Uint8Array>;
  /** Lets go of the file. */
  close(): Promise<void>;
}
