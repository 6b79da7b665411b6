/** Reads the element at a byte offset as a number that f32 holds without loss. */
type Reader = (view: DataView, offset: number) => number;

const readFloat32: Reader = (view, offset) => view.getFloat32(offset, true);
const readFloat16: Reader = (view, offset) => view.getFloat16(offset, true);

/** bfloat16 is the upper half of a float32, so that zeros for the lower half complete it. */
const readBfloat16: Reader = (view, offset) => {
  FLOAT32_BITS.setUint16(0, view.getUint16(offset, true));
  return FLOAT32_BITS.getFloat32(0);
};

/** Kept between calls, as allocating for every element takes far longer than reading it. */
const FLOAT32_BITS = new DataView(new ArrayBuffer(4));

/** Bytes per element of the types that the format counts in whole bytes, and how to read floats. */
const DTYPES: ReadonlyMap<string, { bytes: number; read?: Reader }> = new Map([
  ["BOOL", { bytes: 1 }],
  ["U8", { bytes: 1 }],
  ["I8", { bytes: 1 }],
  ["F8_E5M2", { bytes: 1 }],
  ["F8_E4M3", { bytes: 1 }],
  ["U16", { bytes: 2 }],
  ["I16", { bytes: 2 }],
  ["F16", { bytes: 2, read: readFloat16 }],
  ["BF16", { bytes: 2, read: readBfloat16 }],
  ["U32", { bytes: 4 }],
  ["I32", { bytes: 4 }],
  ["F32", { bytes: 4, read: readFloat32 }],
  ["U64", { bytes: 8 }],
  ["I64", { bytes: 8 }],
  ["F64", { bytes: 8 }],
]);

/** A tensor read from a safetensors file, row-major. */
export interface SafetensorsTensor {
  /** The element type in the file: "F32", "F16" or "BF16". */
  dtype: string;
  /** Outermost dimension first; empty for a scalar. */
  shape: number[];
  /** The elements as f32: the product of `shape` of them. */
  data: Float32Array<ArrayBuffer>;
}

/** A tensor's line in the header; `begin` and `end` count bytes from the start of the data. */
interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * The named tensors of a safetensors file.
 *
 * The whole layout is checked on construction, as the format's own reader does: tensors, listed in
 * any order, must fill the data without a hole, an overlap or bytes left over. A name that occurs
 * twice shows by the hole that its lost entry leaves. Element types are the exception: a file may
 * also hold tensors that are not floats, and only {@linkcode Safetensors.get} refuses those.
 *
 * Follows {@link https://huggingface.co/docs/safetensors/index#format | Safetensors: format}.
 *
 * @example Read a tensor
 * ```ts
 * const header = '{"q":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}';
 * const bytes = new Uint8Array(8 + header.length + 8);
 * bytes[0] = header.length;
 * bytes.set(new TextEncoder().encode(header), 8);
 *
 * const { shape, data } = new Safetensors(bytes).get("q");
 * console.log(shape, data); // [2, 1] Float32Array [0, 0]
 * ```
 */
export class Safetensors {
  /** The file's `__metadata__`: text by name, empty when there is none. */
  readonly metadata: Readonly<Record<string, string>>;
  #data: DataView;
  #entries: Map<string, Entry>;

  /**
   * @param bytes The whole file; kept, not copied.
   * @throws {TypeError} If the header is not a JSON object, or a part of it is of the wrong kind.
   * @throws {RangeError} If a length or an offset does not fit the file or the other tensors.
   */
  constructor(bytes: Uint8Array) {
    const start = 8 + readHeaderLength(bytes);
    const { __metadata__, ...tensors } = parseHeader(bytes.subarray(8, start));
    const entries = Object.entries(tensors).map(([name, value]) => readEntry(name, value));
    checkCoverage(entries, bytes.length - start);
    this.metadata = readMetadata(__metadata__);
    this.#data = new DataView(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  /** The names of all tensors, those that {@linkcode Safetensors.get} refuses included. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /**
   * Copies a tensor out of the file, converted to f32.
   *
   * @param name One of {@linkcode Safetensors.names}.
   * @returns The tensor, sharing no memory with the file.
   * @throws {RangeError} If the file has no tensor of that name.
   * @throws {TypeError} If the tensor's element type is not F32, F16 or BF16.
   */
  get(name: string): SafetensorsTensor {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      throw new RangeError(
        `Cannot get tensor "${name}" as the file has none of that name: ` +
          `ask for one of its ${this.names.length} tensors: ${this.names.join(", ")}`,
      );
    }
    const { dtype, shape, begin, end } = entry;
    const { bytes = 0, read } = DTYPES.get(dtype) ?? {};
    if (read === undefined) {
      throw new TypeError(
        `Cannot get tensor "${name}" as its dtype must be F32, F16 or BF16: ` +
          `current value is ${dtype}; convert the tensor before saving it`,
      );
    }
    const data = Float32Array.from(
      { length: (end - begin) / bytes },
      (_, i) => read(this.#data, begin + i * bytes),
    );
    return { dtype, shape: [...shape], data };
  }
}

function readHeaderLength(bytes: Uint8Array): number {
  if (bytes.length < 8) {
    throw new RangeError(
      "Cannot read safetensors file as it must start with an 8-byte header length: " +
        `current size is ${bytes.length} bytes; the file was cut short, fetch it again`,
    );
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > bytes.length - 8) {
    throw new RangeError(
      "Cannot read safetensors file as its header must end within the file: " +
        `current values header=${length} bytes, rest of file=${bytes.length - 8} bytes; ` +
        "the file was cut short or is of another format, fetch it again",
    );
  }
  return Number(length);
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new TypeError(
      "Cannot read safetensors file as its header must be JSON in UTF-8: " +
        `current value fails with "${(cause as Error).message}"; ` +
        "the file is damaged or of another format, fetch it again",
      { cause },
    );
  }
  if (!isRecord(header)) {
    throw new TypeError(
      "Cannot read safetensors file as its header must be a JSON object: " +
        `current value is ${show(header)}; map each tensor's name to its entry`,
    );
  }
  return header;
}

function readMetadata(value: unknown = {}): Record<string, string> {
  if (!isRecord(value) || !Object.values(value).every((text) => typeof text === "string")) {
    throw new TypeError(
      'Cannot read safetensors file as "__metadata__" must map names to strings: ' +
        `current value is ${show(value)}; write every value in it as a string`,
    );
  }
  return value as Record<string, string>;
}

/** Checks what can be told of one tensor without the others. */
function readEntry(name: string, value: unknown): Entry {
  if (!isRecord(value)) {
    throw new TypeError(
      `Cannot read tensor "${name}" as its entry must be a JSON object: ` +
        `current value is ${show(value)}; give it a dtype, a shape and data_offsets`,
    );
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") {
    throw new TypeError(
      `Cannot read tensor "${name}" as its dtype must be a string: ` +
        `current value is ${show(dtype)}; name a type such as "F32"`,
    );
  }
  if (!isCounts(shape)) {
    throw new TypeError(
      `Cannot read tensor "${name}" as its shape must be an array of non-negative integers: ` +
        `current value is ${show(shape)}; write one length per dimension, [] for a scalar`,
    );
  }
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw new TypeError(
      `Cannot read tensor "${name}" as its data_offsets must be two non-negative integers: ` +
        `current value is ${show(offsets)}; write them as [begin, end] in bytes`,
    );
  }
  const [begin, end] = offsets;
  if (begin > end) {
    throw new RangeError(
      `Cannot read tensor "${name}" as its data must not end before it begins: ` +
        `current values begin=${begin}, end=${end}; write data_offsets as [begin, end]`,
    );
  }
  const elementBytes = DTYPES.get(dtype)?.bytes;
  const elements = shape.reduce((product, length) => product * length, 1);
  if (elementBytes !== undefined && end - begin !== elements * elementBytes) {
    throw new RangeError(
      `Cannot read tensor "${name}" as its data must hold its shape exactly: ` +
        `current values shape=${show(shape)}, dtype=${dtype} (${elements * elementBytes} bytes), ` +
        `data_offsets=${show(offsets)} (${end - begin} bytes); correct one of them`,
    );
  }
  return { name, dtype, shape, begin, end };
}

/** Checks that the tensors together own each of `dataBytes` bytes exactly once. */
function checkCoverage(entries: Entry[], dataBytes: number): void {
  let covered = 0;
  let previous = "the header";
  for (
    const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)
  ) {
    if (begin < covered) {
      throw new RangeError(
        `Cannot read tensor "${name}" as its data must not overlap ${previous}: ` +
          `current values begin=${begin}, end of ${previous}=${covered}; correct data_offsets`,
      );
    }
    if (begin > covered) {
      throw new RangeError(
        `Cannot read tensor "${name}" as its data must follow ${previous} without a hole: ` +
          `current values begin=${begin}, end of ${previous}=${covered}; ` +
          "correct data_offsets, and use no name twice",
      );
    }
    if (end > dataBytes) {
      throw new RangeError(
        `Cannot read tensor "${name}" as its data must end within the file: ` +
          `current values end=${end}, data=${dataBytes} bytes; ` +
          "the file was cut short, fetch it again",
      );
    }
    covered = end;
    previous = `tensor "${name}"`;
  }
  if (covered !== dataBytes) {
    throw new RangeError(
      `Cannot read safetensors file as nothing may follow ${previous}: ` +
        `current values end=${covered}, data=${dataBytes} bytes; ` +
        `remove the last ${dataBytes - covered} bytes, and use no name twice`,
    );
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

/** A value as JSON, short enough for a message. */
function show(value: unknown): string {
  const json = JSON.stringify(value) ?? "missing";
  return json.length > 80 ? `${json.slice(0, 80)}...` : json;
}
