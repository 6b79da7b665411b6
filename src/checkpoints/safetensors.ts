import { checkInteger, checkString } from "../base/check.ts";
import { excerpt } from "../base/excerpt.ts";
import { isJsonObject, type JsonObject, parseJsonObject } from "../base/json.ts";
import { decodeText } from "../base/text.ts";
import type { WeightData } from "../model/weights.ts";
import { type ByteSource, checkSource, readBuffer } from "./byte_source.ts";
import { closeOnError } from "./close_on_error.ts";
import { checkpointError, tensorOf } from "./checkpoint_error.ts";
import { FLOAT_TYPES } from "./floats.ts";
import { readForeignFormat, readShort } from "./text_file.ts";
import type { TensorDescription, TensorFile } from "./tensor_file.ts";

/** Bytes per element of the types that the format counts in whole bytes. */
const ELEMENT_BYTES: ReadonlyMap<string, number> = new Map([
  ...["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"].map((dtype) => [dtype, 1] as const),
  ...["U16", "I16", "F16", "BF16"].map((dtype) => [dtype, 2] as const),
  ...["U32", "I32", "F32"].map((dtype) => [dtype, 4] as const),
  ...["U64", "I64", "F64"].map((dtype) => [dtype, 8] as const),
]);

/** Bytes before the header, which tell its length. */
const LENGTH_BYTES = 8;

/** The beginning of a header. */
const BRACE = "{".charCodeAt(0);

/** A tensor's line in the header; `begin` and `end` count bytes from the start of the data. */
interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * The named tensors of a safetensors file, read one by one.
 *
 * The whole layout is checked when it is opened, as the format's own reader does: tensors, listed in any order, must fill the
 * data without a hole, an overlap or bytes left over. A name that occurs twice shows by the hole that its lost entry leaves.
 * Element types are the exception: a file may also hold tensors that are not floats, and only
 * {@linkcode Safetensors.read} refuses those.
 *
 * Follows {@link https://huggingface.co/docs/safetensors/index#format | Safetensors: format}.
 *
 * @example Read a tensor
 * ```ts
 * import { bytesInMemory, Safetensors } from "@onehead/attention/checkpoints";
 *
 * const header = '{"q":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}';
 * const bytes = new Uint8Array(8 + header.length + 8);
 * bytes[0] = header.length;
 * bytes.set(new TextEncoder().encode(header), 8);
 *
 * const file = await Safetensors.open(bytesInMemory("two numbers", bytes));
 * const { shape, data } = await file.read("q");
 * console.log(shape, data); // [2, 1] Float32Array [0, 0]
 * await file.close();
 * ```
 */
export class Safetensors implements TensorFile {
  /** Its name in messages. */
  readonly name: string;
  /** The file's `__metadata__`: text by name, empty when there is none. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly #source: ByteSource;
  readonly #dataStart: number;
  readonly #entries: ReadonlyMap<string, Entry>;

  private constructor(source: ByteSource, dataStart: number, header: JsonObject) {
    const { __metadata__, ...tensors } = header;
    const file = source.name;
    const entries = Object.entries(tensors).map(([name, value]) => readEntry(file, name, value));
    checkCoverage(file, entries, source.size - dataStart);
    this.name = file;
    this.metadata = readMetadata(file, __metadata__);
    this.#source = source;
    this.#dataStart = dataStart;
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  /**
   * Reads the header and checks it.
   *
   * @param source The file; it is closed with the result, and where this fails.
   * @returns The tensors, none of them read yet.
   * @throws {TypeError} If the source is none.
   * @throws {RangeError} If its size is not a whole number of at least 0.
   * @throws {CheckpointError} If the header is damaged, or a length or an offset does not fit the file or the other tensors.
   */
  static async open(source: ByteSource): Promise<Safetensors> {
    checkSource("read tensors", "source", source);
    return await closeOnError(source, async () => {
      const length = await readHeaderLength(source);
      return new Safetensors(source, LENGTH_BYTES + length, await readHeader(source, length));
    });
  }

  /** The names of all tensors, those that {@linkcode Safetensors.read} refuses included. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /**
   * Says what the header says of a tensor.
   *
   * @param name One of {@linkcode Safetensors.names}.
   * @returns Its element type and shape; undefined if there is no such tensor.
   * @throws {TypeError} If the name is no string.
   */
  describe(name: string): TensorDescription | undefined {
    checkString("describe a tensor", "name", name);
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    const { dtype, shape, begin, end } = entry;
    return { file: this.name, dtype, shape: [...shape], bytes: end - begin };
  }

  /**
   * Reads a tensor, converted to f32.
   *
   * @param name One of {@linkcode Safetensors.names}.
   * @returns The tensor, in memory of its own.
   * @throws {CheckpointError} If the file has no tensor of that name, its elements are not F32, F16 or BF16, or it cannot be
   * read.
   */
  async read(name: string): Promise<WeightData> {
    const { dtype, shape, begin, end } = this.#entry(name);
    const type = FLOAT_TYPES.get(dtype);
    if (type === undefined) {
      throw checkpointError(
        tensorOf(this.name, name),
        `its dtype must be ${[...FLOAT_TYPES.keys()].join(", ")} (convert it)`,
        { dtype },
      );
    }
    const bytes = await readBuffer(this.#source, this.#dataStart + begin, end - begin);
    return { data: type.decode(bytes), shape: [...shape] };
  }

  /**
   * Reads some of a tensor's bytes as the file has them, whatever its element type.
   *
   * @param name One of {@linkcode Safetensors.names}.
   * @param offset The first byte, counted from the tensor's own.
   * @param length How many bytes.
   * @returns As many bytes.
   * @throws {TypeError} If the offset or the length is no number.
   * @throws {RangeError} If one of them is not a whole number of at least 0.
   * @throws {CheckpointError} If the file has no tensor of that name, it has not as many bytes, or they cannot be read.
   */
  async readBytes(name: string, offset: number, length: number): Promise<Uint8Array> {
    const { begin, end } = this.#entry(name);
    checkInteger("read bytes of a tensor", "offset", offset, 0);
    checkInteger("read bytes of a tensor", "length", length, 0);
    if (offset + length > end - begin) {
      throw checkpointError(tensorOf(this.name, name), "it has not as many bytes", {
        ...{ offset, length, bytes: end - begin },
      });
    }
    const start = this.#dataStart + begin + offset;
    return new Uint8Array(await readBuffer(this.#source, start, length));
  }

  /** Lets go of the file. */
  async close(): Promise<void> {
    await this.#source.close();
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry) return entry;
    throw checkpointError(tensorOf(this.name, name), "the file has none of that name", {
      tensors: this.names,
    });
  }
}

async function readHeaderLength(source: ByteSource): Promise<number> {
  const { name, size } = source;
  if (size < LENGTH_BYTES) {
    throw checkpointError(
      name,
      "it must start with 8 bytes that tell the length of its header (it was cut short: fetch it again)",
      { size },
    );
  }
  const header = new DataView(await readBuffer(source, 0, LENGTH_BYTES)).getBigUint64(0, true);
  const rest = size - LENGTH_BYTES;
  if (header > rest) {
    throw checkpointError(
      name,
      await readForeignFormat(source) ??
        "its header must end within the file (it was cut short: fetch it again)",
      { header, rest },
    );
  }
  return Number(header);
}

async function readHeader(source: ByteSource, length: number): Promise<JsonObject> {
  const what = `the header of ${source.name}`;
  const bytes = await readShort(source, { what, offset: LENGTH_BYTES, length });
  // The format asks for it, and so leaves no room for a byte order mark.
  if (bytes[0] !== BRACE) {
    throw checkpointError(
      what,
      "it must begin with a brace (it is damaged: fetch the file again)",
      {
        byte: bytes[0],
        length,
      },
    );
  }
  return parseJsonObject(decodeText(bytes, what), what);
}

function readMetadata(file: string, value: unknown = {}): Record<string, string> {
  if (!isJsonObject(value) || !Object.values(value).every((text) => typeof text === "string")) {
    throw checkpointError(file, "__metadata__ must map names to strings", { __metadata__: value });
  }
  return value as Record<string, string>;
}

/** Checks what can be told of one tensor without the others. */
function readEntry(file: string, name: string, value: unknown): Entry {
  const fail = (rule: string, values: Record<string, unknown>) =>
    checkpointError(tensorOf(file, name), rule, values);
  if (!isJsonObject(value)) throw fail("its entry must be a JSON object", { entry: value });
  const { dtype, shape, data_offsets } = value;
  if (typeof dtype !== "string") throw fail("its dtype must be a string", { dtype });
  if (!isCounts(shape)) {
    throw fail("its shape must be an array of whole numbers of at least 0", { shape });
  }
  if (!isCounts(data_offsets) || data_offsets.length !== 2) {
    throw fail("its data_offsets must be two whole numbers of at least 0", { data_offsets });
  }
  const [begin, end] = data_offsets;
  if (begin > end) throw fail("its data must not end before it begins", { begin, end });
  const elementBytes = ELEMENT_BYTES.get(dtype);
  const needed = shape.reduce((product, size) => product * size, 1) * (elementBytes ?? 0);
  if (elementBytes !== undefined && end - begin !== needed) {
    throw fail("its data must hold its shape exactly", {
      ...{ shape, dtype, needed, data_offsets, bytes: end - begin },
    });
  }
  return { name, dtype, shape, begin, end };
}

/** Checks that the tensors together own each of `dataBytes` bytes exactly once. */
function checkCoverage(file: string, entries: readonly Entry[], dataBytes: number): void {
  let covered = 0;
  let previous = "the header";
  for (
    const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)
  ) {
    const fail = (rule: string, values: Record<string, unknown>) =>
      checkpointError(tensorOf(file, name), rule, values);
    if (begin < covered) {
      throw fail(`its data must not overlap ${previous}`, { begin, endOfPrevious: covered });
    }
    if (begin > covered) {
      throw fail(`its data must follow ${previous} without a hole (use no name twice)`, {
        ...{ begin, endOfPrevious: covered },
      });
    }
    if (end > dataBytes) {
      throw fail("its data must end within the file (it was cut short: fetch it again)", {
        ...{ end, dataBytes },
      });
    }
    covered = end;
    previous = `tensor ${excerpt(name)}`;
  }
  if (covered !== dataBytes) {
    throw checkpointError(file, `nothing may follow ${previous} (use no name twice)`, {
      ...{ end: covered, dataBytes },
    });
  }
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
