// A damaged file is refused, or only its numbers are others: no other error, no huge allocation, nothing half loaded.
import { assert, assertEquals } from "@std/assert";
import {
  bytesInMemory,
  type ByteSource,
  CheckpointError,
  openLlama2c,
  Safetensors,
  type WeightData,
} from "../../src/checkpoints/mod.ts";
import { HfConfig } from "../../src/checkpoints/config.ts";
import { readFamily } from "../../src/checkpoints/families/mod.ts";
import { familyWeights } from "../../src/checkpoints/family_weights.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { elementCount } from "../../src/tensor/dtype.ts";
import { encode, llama2c, safetensors } from "../support/checkpoint_files.ts";

const CORRUPTIONS = 1000;

function assertSilent(sentence: string): void {
  throw new Error(sentence);
}

/** A source that fails the test where more is asked for than there is. */
function watched(bytes: Uint8Array): ByteSource {
  const source = bytesInMemory("damaged", bytes);
  return {
    ...source,
    read(offset, length) {
      assert(offset >= 0 && length >= 0 && offset + length <= source.size, `${offset} ${length}`);
      return source.read(offset, length);
    },
  };
}

/** Bytes cut off, added or flipped: among the data, in the header, in its first bytes, anywhere. */
function corrupt(random: Random, bytes: Uint8Array, headerBytes: number): Uint8Array {
  const kind = random.integer(0, 5);
  if (kind === 0) return bytes.slice(0, random.integer(0, bytes.length - 1));
  const damaged = new Uint8Array(bytes.length + (kind === 1 ? random.integer(1, 64) : 0));
  damaged.set(bytes);
  if (kind === 1) return damaged;
  const ranges = [[headerBytes, bytes.length], [0, headerBytes], [0, 8], [0, bytes.length]];
  const [start, end] = ranges[kind - 2];
  for (let flips = random.integer(1, 4); flips > 0; flips--) {
    damaged[random.integer(start, end - 1)] ^= random.integer(1, 255);
  }
  return damaged;
}

/** Reads all of so many damaged files: how many were refused, and how many had other numbers. */
async function survey(
  original: Uint8Array,
  read: (source: ByteSource) => Promise<WeightData[]>,
  damage: () => Uint8Array,
): Promise<{ refused: number; different: number }> {
  const shapes = (await read(watched(original))).map(({ shape }) => shape);
  const counts = { refused: 0, different: 0 };
  for (let i = 0; i < CORRUPTIONS; i++) {
    let weights: WeightData[];
    try {
      weights = await read(watched(damage()));
    } catch (error) {
      assert(error instanceof CheckpointError && error.message.includes("damaged"), `${error}`);
      counts.refused++;
      continue;
    }
    assertEquals(weights.map(({ shape }) => shape), shapes);
    for (const { data, shape } of weights) assertEquals(data.length, elementCount(shape));
    counts.different++;
  }
  return counts;
}

const CONFIG = {
  ...{ model_type: "gpt_bigcode", n_embd: 8, n_head: 4, n_layer: 1, n_inner: 6 },
  ...{ n_positions: 3, vocab_size: 5 },
};
const TENSORS: Record<string, number[]> = {
  ...{ "wte.weight": [5, 8], "wpe.weight": [3, 8], "ln_f.weight": [8], "ln_f.bias": [8] },
  ...{ "h.0.ln_1.weight": [8], "h.0.ln_1.bias": [8], "h.0.ln_2.weight": [8] },
  ...{ "h.0.ln_2.bias": [8], "h.0.attn.c_attn.weight": [12, 8], "h.0.attn.c_attn.bias": [12] },
  ...{ "h.0.attn.c_proj.weight": [8, 8], "h.0.attn.c_proj.bias": [8] },
  ...{ "h.0.mlp.c_fc.weight": [6, 8], "h.0.mlp.c_fc.bias": [6] },
  ...{ "h.0.mlp.c_proj.weight": [8, 6], "h.0.mlp.c_proj.bias": [8] },
};
const WEIGHTS = [
  ...["embedding.weight", "positions.weight", "finalNorm.weight", "finalNorm.bias"],
  ...["attentionNorm", "q", "k", "v", "o", "mlpNorm", "up", "down"].flatMap((part) =>
    ["weight", "bias"].map((kind) => `layers.0.${part}.${kind}`)
  ),
];

async function readFamilyFile(source: ByteSource): Promise<WeightData[]> {
  const file = await Safetensors.open(source);
  const family = readFamily(HfConfig.parse(JSON.stringify(CONFIG), "config"));
  const weights = await familyWeights(file, family, assertSilent);
  return await Promise.all(WEIGHTS.map((name) => weights.read(name)));
}

/** A header that is well formed, with a lie in it. */
function lie(random: Random, bytes: Uint8Array, headerBytes: number): Uint8Array {
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, headerBytes)));
  const entry = header[random.pick(Object.keys(header))];
  const number = random.pick([-1, 0, 0.5, 1, 4, 8, 96, 2 ** 31, 2 ** 53, 1e300, "8", null]);
  const list: unknown[] = random.pick([entry.shape, entry.data_offsets]);
  const kind = random.integer(0, 5);
  if (kind === 0) {
    entry.dtype = random.pick(["F32", "F16", "BF16", "F64", "I32", "F4", "", 4, null]);
  } else if (kind === 1) {
    list.push(number);
  } else {
    list[random.integer(0, list.length - 1)] = number;
  }
  return encode(header, bytes.subarray(headerBytes));
}

for (const dtype of ["F32", "F16", "BF16"] as const) {
  testRandomly(`${CORRUPTIONS} corruptions of a safetensors file of ${dtype}`, async (random) => {
    const tensors = Object.entries(TENSORS).map(([name, shape]) => [name, random.tensor(shape)]);
    const file = safetensors(Object.fromEntries(tensors), dtype);
    const headerBytes = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
    const { refused, different } = await survey(
      file,
      readFamilyFile,
      () =>
        random.next() < 0.5 ? corrupt(random, file, headerBytes) : lie(random, file, headerBytes),
    );
    assert(refused > 100 && different > 20, `${refused} refused, ${different} different`);
  });
}

testRandomly(`${CORRUPTIONS} corruptions of a llama2.c file`, async (random) => {
  const file = llama2c([8, 6, 2, 4, 2, 5, 3], 758);
  const names = [
    ...["embedding.weight", "finalNorm.weight"],
    ...["attentionNorm", "q", "k", "v", "o", "mlpNorm", "gate", "up", "down"].flatMap((part) =>
      [0, 1].map((layer) => `layers.${layer}.${part}.weight`)
    ),
  ];
  const read = async (source: ByteSource) => {
    const { weights } = await openLlama2c(source);
    return await Promise.all(names.map((name) => weights.read(name)));
  };
  const liar = () => {
    const damaged = file.slice();
    const value = random.pick([-1, 0, 1, 2, 3, 2 ** 31 - 1, -(2 ** 31), random.integer(1, 1e6)]);
    new DataView(damaged.buffer).setInt32(4 * random.integer(0, 6), value, true);
    return damaged;
  };
  const { refused, different } = await survey(
    file,
    read,
    () => random.next() < 0.5 ? corrupt(random, file, 28) : liar(),
  );
  assert(refused > 100 && different > 20, `${refused} refused, ${different} different`);
});
