import type { WeightData } from "../model/weights.ts";
import { elementCount } from "../tensor/dtype.ts";
import { type ByteSource, checkSource, readBuffer } from "./byte_source.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { closeOnError } from "./close_on_error.ts";
import { checkpointError, tensorOf } from "./checkpoint_error.ts";
import { FLOAT_TYPES } from "./floats.ts";
import { readForeignFormat } from "./text_file.ts";
import { type Component, componentShapes, type DecoderSizes } from "../model/weight_shapes.ts";

/** The header: seven int32. */
const FIELDS = ["dim", "hiddenDim", "layers", "numHeads", "numKvHeads", "vocab", "contextLen"];
const HEADER_BYTES = 4 * FIELDS.length;

/** The components of a layer in the file's order; each is there for all layers before the next begins. */
const LAYER_COMPONENTS: readonly Component[] = [
  ...["attentionNorm", "q", "k", "v", "o"] as const,
  ...["mlpNorm", "gate", "down", "up"] as const,
];

const f32 = FLOAT_TYPES.get("F32")!;

/** The fields of the header. */
interface Header {
  sizes: DecoderSizes;
  numLayers: number;
  isTied: boolean;
}

/** Where a weight lies, in bytes from the file's start. */
interface Place {
  offset: number;
  shape: readonly number[];
}

/**
 * Opens a checkpoint in the first layout of {@link https://github.com/karpathy/llama2.c | llama2.c}: seven int32, then all
 * weights as f32. All sizes are checked against the file's before anything else is read.
 *
 * @param source The file; it is closed with the result, and where this fails.
 * @returns The decoder: RMSNorm, SwiGLU, rotary positions of adjacent pairs.
 * @throws {TypeError} If the source is none.
 * @throws {RangeError} If its size is not a whole number of at least 0.
 * @throws {CheckpointError} If the sizes in the header make no decoder, or the file is not as large as they say.
 *
 * @example
 * ```ts ignore
 * import { openFile, openLlama2c } from "@onehead/attention/checkpoints";
 *
 * const checkpoint = await openLlama2c(await openFile("stories260K.bin"));
 * const { shape } = await checkpoint.weights.read("layers.0.k.weight");
 * console.log(shape); // [32, 64]
 * await checkpoint.close();
 * ```
 */
export async function openLlama2c(source: ByteSource): Promise<Checkpoint> {
  checkSource("read a checkpoint", "source", source);
  const { header, places } = await closeOnError(source, async () => {
    const header = await readHeader(source);
    return { header, places: placesOf(source, header) };
  });
  const read = async (name: string): Promise<WeightData> => {
    const place = places.get(name);
    if (!place) {
      throw checkpointError(tensorOf(source.name, name), "the file has none of that name", {
        tensors: [...places.keys()],
      });
    }
    const { offset, shape } = place;
    const bytes = await readBuffer(source, offset, elementCount(shape) * f32.bytes);
    return { data: f32.decode(bytes), shape: [...shape] };
  };
  return {
    spec: {
      ...header.sizes,
      layers: Array.from({ length: header.numLayers }, () => ({
        rope: { style: "pairs", base: 10000 },
      })),
      norm: { kind: "rms", eps: 1e-5 },
      activation: "silu",
      isGated: true,
      isParallel: false,
    },
    weights: { has: (name) => places.has(name), read },
    // Its tokenizer knows them.
    endOfText: [],
    classEndOfText: [],
    close: () => source.close(),
  };
}

async function readHeader(source: ByteSource): Promise<Header> {
  const { name, size } = source;
  if (size < HEADER_BYTES) {
    throw checkpointError(
      name,
      `it must start with ${HEADER_BYTES} bytes of sizes (it was cut short: fetch it again)`,
      { size },
    );
  }
  const view = new DataView(await readBuffer(source, 0, HEADER_BYTES));
  const numbers = FIELDS.map((_, i) => view.getInt32(4 * i, true));
  const [dim, hiddenDim, numLayers, numHeads, numKvHeads, vocab, contextLen] = numbers;
  const sizes = {
    ...{ vocabSize: Math.abs(vocab), dim, hiddenDim, contextLen },
    ...{ numHeads, numKvHeads, headDim: dim / numHeads },
  };
  const arePositive = [...Object.values(sizes), numLayers].every((value) => value >= 1);
  if (!arePositive || sizes.headDim % 2 !== 0 || numHeads % numKvHeads !== 0) {
    const other = await readForeignFormat(source);
    if (other) throw checkpointError(name, other, { size });
    throw checkpointError(
      name,
      "its sizes must be those of a decoder (it is damaged, or no model of llama2.c)",
      Object.fromEntries(FIELDS.map((field, i) => [field, numbers[i]])),
    );
  }
  return { sizes, numLayers, isTied: vocab > 0 };
}

/** Where everything lies, if the file is as large as its header says. */
function placesOf(source: ByteSource, { sizes, numLayers, isTied }: Header): Map<string, Place> {
  const shapes = componentShapes(sizes);
  const section = (component: Component, copies: number) => ({
    component,
    copies,
    shape: shapes[component],
  });
  const sections: { component?: Component; copies: number; shape: readonly number[] }[] = [
    section("embedding", 1),
    ...LAYER_COMPONENTS.map((component) => section(component, numLayers)),
    section("finalNorm", 1),
    // Cosines and sines, which are not read any more.
    { copies: 1, shape: [sizes.contextLen, sizes.headDim] },
    ...(isTied ? [] : [section("classifier", 1)]),
  ];
  const bytesOf = (shape: readonly number[]) => elementCount(shape) * f32.bytes;
  const needed = sections.reduce(
    (sum, { copies, shape }) => sum + copies * bytesOf(shape),
    HEADER_BYTES,
  );
  if (needed !== source.size) {
    throw checkpointError(
      source.name,
      "it must be as large as its header says (it was cut short, or is no model of llama2.c)",
      { needed, size: source.size, ...sizes, layers: numLayers, isTied },
    );
  }

  const places = new Map<string, Place>();
  let offset = HEADER_BYTES;
  for (const { component, copies, shape } of sections) {
    for (let copy = 0; copy < copies; copy++) {
      const isOfLayer = component && LAYER_COMPONENTS.includes(component);
      if (component) {
        places.set(`${isOfLayer ? `layers.${copy}.` : ""}${component}.weight`, { offset, shape });
      }
      offset += bytesOf(shape);
    }
  }
  return places;
}
