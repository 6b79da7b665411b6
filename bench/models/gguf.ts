/** GGUF files, version 3: metadata and tensors of f32 as llama.cpp reads them. */

/** Numbers of the types of metadata. */
const [U32, I32, F32, BOOL, STRING, ARRAY] = [4, 5, 6, 7, 8, 9];
/** `GGML_TYPE_F32` */
const TENSOR_F32 = 0;
const VERSION = 3;
/** Bytes that tensors begin at a multiple of. */
const ALIGNMENT = 32;

/** A value of metadata. */
export type GgufValue =
  | { u32: number }
  | { f32: number }
  | { bool: boolean }
  | { string: string }
  | { f32s: readonly number[] }
  | { i32s: readonly number[] }
  | { strings: readonly string[] };

/** A tensor, its last axis the one whose elements lie side by side. */
export interface GgufTensor {
  name: string;
  shape: readonly number[];
  data: Float32Array;
}

/** The contents of a file. */
export interface Gguf {
  metadata: Readonly<Record<string, GgufValue>>;
  tensors: readonly GgufTensor[];
}

/** The parts of a file, one after the other: the tensors are not copied. */
export function encodeGguf({ metadata, tensors }: Gguf): BlobPart[] {
  const head = new Bytes();
  head.ascii("GGUF");
  head.u32(VERSION);
  head.u64(tensors.length);
  head.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    head.string(key);
    writeValue(head, value);
  }
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    head.string(name);
    head.u32(shape.length);
    for (const size of shape.toReversed()) head.u64(size);
    head.u32(TENSOR_F32);
    head.u64(offset);
    offset += aligned(data.byteLength);
  }
  head.zeros(aligned(head.length) - head.length);
  return [
    head.finish(),
    ...tensors.flatMap(({ data }) => [
      new Float32Array(data),
      new Uint8Array(aligned(data.byteLength) - data.byteLength),
    ]),
  ];
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function writeValue(to: Bytes, value: GgufValue): void {
  const single = (type: number, write: () => void) => {
    to.u32(type);
    write();
  };
  const array = <Element>(
    type: number,
    values: readonly Element[],
    write: (one: Element) => void,
  ) => {
    to.u32(ARRAY);
    to.u32(type);
    to.u64(values.length);
    values.forEach(write);
  };
  if ("u32" in value) single(U32, () => to.u32(value.u32));
  else if ("f32" in value) single(F32, () => to.f32(value.f32));
  else if ("bool" in value) single(BOOL, () => to.u8(Number(value.bool)));
  else if ("string" in value) single(STRING, () => to.string(value.string));
  else if ("f32s" in value) array(F32, value.f32s, (one) => to.f32(one));
  else if ("i32s" in value) array(I32, value.i32s, (one) => to.i32(one));
  else array(STRING, value.strings, (one) => to.string(one));
}

/** Little-endian numbers and strings, as many as come. */
class Bytes {
  #bytes = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  u8(value: number): void {
    this.#view(1).setUint8(0, value);
  }

  u32(value: number): void {
    this.#view(4).setUint32(0, value, true);
  }

  i32(value: number): void {
    this.#view(4).setInt32(0, value, true);
  }

  u64(value: number): void {
    this.#view(8).setBigUint64(0, BigInt(value), true);
  }

  f32(value: number): void {
    this.#view(4).setFloat32(0, value, true);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.#put(bytes);
  }

  ascii(text: string): void {
    this.#put(new TextEncoder().encode(text));
  }

  zeros(count: number): void {
    this.#put(new Uint8Array(count));
  }

  #put(bytes: Uint8Array): void {
    const { buffer, byteOffset } = this.#view(bytes.length);
    new Uint8Array(buffer, byteOffset).set(bytes);
  }

  /** The place of the next bytes. */
  #view(bytes: number): DataView {
    const start = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return new DataView(this.#bytes.buffer, start, bytes);
  }
}
