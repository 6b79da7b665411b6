/** The state of a training as bytes: a header in JSON, numbers in f32, and a digest of both. */
import { sentence } from "../base/check.ts";
import { checkpointError } from "../checkpoints/checkpoint_error.ts";

/** The numbers of one tensor. */
export interface StateTensor {
  name: string;
  shape: readonly number[];
  data: Float32Array;
}

/** All that a training goes on from. */
export interface TrainingState {
  /** Steps that are done. */
  step: number;
  tensors: readonly StateTensor[];
}

/** "onehead training state 1" in 8 bytes. */
const MAGIC = new TextEncoder().encode("1H-TRN-1");
const DIGEST_BYTES = 32;
const HEAD_BYTES = MAGIC.length + 4;

/** The header: what the numbers behind it are. */
interface Header {
  step: number;
  tensors: readonly { name: string; shape: readonly number[] }[];
}

async function digestOf(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
}

/** The state as bytes, the same wherever it is written. */
export async function encodeState({ step, tensors }: TrainingState): Promise<Uint8Array> {
  const header: Header = { step, tensors: tensors.map(({ name, shape }) => ({ name, shape })) };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const numbers = tensors.reduce((sum, { data }) => sum + data.length, 0);
  const bytes = new Uint8Array(HEAD_BYTES + json.length + 4 * numbers + DIGEST_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(MAGIC.length, json.length, true);
  bytes.set(json, HEAD_BYTES);
  let offset = HEAD_BYTES + json.length;
  for (const { data } of tensors) {
    for (const value of data) {
      view.setFloat32(offset, value, true);
      offset += 4;
    }
  }
  bytes.set(await digestOf(bytes.subarray(0, offset)), offset);
  return bytes;
}

/**
 * Reads a state, all of it before anyone sees any.
 *
 * @param name The file, for messages.
 * @throws {CheckpointError} If the bytes are no state, or damaged.
 */
export async function decodeState(name: string, bytes: Uint8Array): Promise<TrainingState> {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(
      sentence("resume training", "state must be a Uint8Array", { state: bytes }),
    );
  }
  const isState = MAGIC.every((byte, i) => bytes[i] === byte);
  if (!isState || bytes.length < HEAD_BYTES + DIGEST_BYTES) {
    const rule = "it must be a training state, as Trainer.save writes it";
    throw checkpointError(name, rule, { bytes: bytes.length });
  }
  const end = bytes.length - DIGEST_BYTES;
  const digest = await digestOf(bytes.subarray(0, end));
  if (digest.some((byte, i) => byte !== bytes[end + i])) {
    const rule = "its digest must be that of its bytes: it is damaged or cut short";
    throw checkpointError(name, rule, { bytes: bytes.length });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = HEAD_BYTES + view.getUint32(MAGIC.length, true);
  const json = new TextDecoder().decode(bytes.subarray(HEAD_BYTES, offset));
  const { step, tensors } = JSON.parse(json) as Header;
  return {
    step,
    tensors: tensors.map(({ name, shape }) => {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      for (let i = 0; i < data.length; i++, offset += 4) data[i] = view.getFloat32(offset, true);
      return { name, shape, data };
    }),
  };
}
