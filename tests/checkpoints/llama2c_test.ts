import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import {
  bytesInMemory,
  type Checkpoint,
  CheckpointError,
  openCheckpoint,
  openFile,
  openLlama2c,
  Safetensors,
} from "../../src/checkpoints/mod.ts";
import { ropedRow } from "../../src/reference/rope.ts";
import { greedyTokens, STORIES, testStories } from "../support/stories.ts";
import { inFolder, llama2c } from "../support/checkpoint_files.ts";

/** dim, hidden, layers, heads, KV heads, vocabulary, context. */
const SIZES = [8, 6, 2, 4, 2, -5, 3];
const open = (bytes: Uint8Array) => openLlama2c(bytesInMemory("a.bin", bytes));

/** What lies where: the first of the numbers 0, 1, 2, ... that follow the header, and the shape. */
const PLACES: [name: string, first: number, shape: number[]][] = [
  ["embedding.weight", 0, [5, 8]],
  ["layers.0.attentionNorm.weight", 40, [8]],
  ["layers.1.attentionNorm.weight", 48, [8]],
  ["layers.0.q.weight", 56, [8, 8]],
  ["layers.1.q.weight", 120, [8, 8]],
  ["layers.0.k.weight", 184, [4, 8]],
  ["layers.1.k.weight", 216, [4, 8]],
  ["layers.0.v.weight", 248, [4, 8]],
  ["layers.1.v.weight", 280, [4, 8]],
  ["layers.0.o.weight", 312, [8, 8]],
  ["layers.1.o.weight", 376, [8, 8]],
  ["layers.0.mlpNorm.weight", 440, [8]],
  ["layers.1.mlpNorm.weight", 448, [8]],
  ["layers.0.gate.weight", 456, [6, 8]],
  ["layers.1.gate.weight", 504, [6, 8]],
  ["layers.0.down.weight", 552, [8, 6]],
  ["layers.1.down.weight", 600, [8, 6]],
  ["layers.0.up.weight", 648, [6, 8]],
  ["layers.1.up.weight", 696, [6, 8]],
  ["finalNorm.weight", 744, [8]],
  // Then 6 numbers that are not read.
  ["classifier.weight", 758, [5, 8]],
];

Deno.test("openLlama2c() finds every weight", async () => {
  const { spec, weights, close } = await open(llama2c(SIZES, 798));
  const rope = { style: "pairs", base: 10000 } as const;
  assertEquals(spec, {
    ...{ vocabSize: 5, dim: 8, hiddenDim: 6, numHeads: 4, numKvHeads: 2, headDim: 2 },
    ...{ contextLen: 3, layers: [{ rope }, { rope }], norm: { kind: "rms", eps: 1e-5 } },
    ...{ activation: "silu", isGated: true, isParallel: false },
  });
  for (const [name, first, shape] of PLACES) {
    assert(weights.has(name), name);
    const weight = await weights.read(name);
    assertEquals(weight.shape, shape, name);
    const length = shape.reduce((a, b) => a * b);
    assertEquals([...weight.data], Array.from({ length }, (_, i) => first + i), name);
  }
  for (const name of ["positions.weight", "layers.2.q.weight", "layers.0.q.bias"]) {
    assert(!weights.has(name));
    await assertRejects(() => weights.read(name), CheckpointError, `tensor "${name}" of a.bin`);
  }
  await close();
});

Deno.test("openLlama2c() knows a classifier that is the embedding", async () => {
  const { spec, weights } = await open(llama2c(SIZES.with(5, 5), 758));
  assertEquals(spec.vocabSize, 5);
  assert(!weights.has("classifier.weight"));
});

const DAMAGED: [what: string, bytes: Uint8Array, says: string][] = [
  ["an empty file", new Uint8Array(), "size=0"],
  ["a header that is cut short", llama2c(SIZES, 0).subarray(0, 27), "size=27"],
  ["weights that are cut short", llama2c(SIZES, 798).subarray(0, -1), "needed=3220, size=3219"],
  ["bytes left over", llama2c(SIZES, 799), "needed=3220, size=3224"],
  ["heads that do not divide the width", llama2c(SIZES.with(3, 3), 798), "numHeads=3"],
  ["KV heads that do not divide the heads", llama2c(SIZES.with(4, 3), 798), "numKvHeads=3"],
  ["heads of an odd size", llama2c(SIZES.with(3, 8), 798), "numHeads=8"],
  ["no vocabulary", llama2c(SIZES.with(5, 0), 798), "vocab=0"],
  ["no layers", llama2c(SIZES.with(2, 0), 798), "layers=0"],
  ["a negative width", llama2c(SIZES.with(0, -8), 798), "dim=-8"],
  ["a lie about layers", llama2c(SIZES.with(2, 2 ** 31 - 1), 798), "size=3220"],
  [
    "a lie about all sizes",
    llama2c([2 ** 30, 2 ** 31 - 1, 2 ** 31 - 1, 1, 1, -(2 ** 31), 2 ** 31 - 1], 798),
    "size=3220",
  ],
  ["another format", new TextEncoder().encode("PK\x03\x04".repeat(100)), "a.bin"],
];

for (const [what, bytes, says] of DAMAGED) {
  Deno.test(`openLlama2c() refuses ${what}`, async () => {
    let isClosed = false;
    const source = bytesInMemory("a.bin", bytes);
    const close = () => Promise.resolve(void (isClosed = true));
    await assertRejects(() => openLlama2c({ ...source, close }), CheckpointError, says);
    assert(isClosed);
  });
}

Deno.test("openCheckpoint() opens llama2.c files, and a folder with one", async () => {
  await inFolder({ "tiny.bin": llama2c(SIZES, 798) }, async (folder) => {
    for (const path of [folder, `${folder}/`, `${folder}/tiny.bin`]) {
      const { weights, close } = await openCheckpoint(path);
      assertEquals((await weights.read("layers.1.q.weight")).data[0], 120);
      await close();
    }
    await Deno.truncate(`${folder}/tiny.bin`, 1000);
    await assertRejects(() => openCheckpoint(folder), CheckpointError, `${folder}/tiny.bin`);
    await Deno.writeTextFile(`${folder}/other.bin`, "");
    await assertRejects(() => openCheckpoint(folder), CheckpointError, "it must hold");
    await assertRejects(() => openCheckpoint(`${folder}/absent`), CheckpointError, "absent");
  });
});

testStories(
  "the weights make the queries, keys and values that the model was seen to make",
  async () => {
    const checkpoint = await openCheckpoint(STORIES.model);
    const { spec, weights } = checkpoint;
    assertEquals(
      [spec.dim, spec.hiddenDim, spec.layers.length, spec.numHeads, spec.numKvHeads],
      [64, 172, 5, 8, 4],
    );
    assertEquals([spec.vocabSize, spec.contextLen, spec.headDim], [512, 512, 8]);
    assert(!weights.has("classifier.weight"));
    const captured = await Safetensors.open(await openFile(STORIES.attention));
    for (const [position, token] of greedyTokens().slice(0, 4).entries()) {
      for (const part of ["q", "k", "v"] as const) {
        const seen = await captured.read(`layer0.${part}`);
        const size = seen.shape[1] * seen.shape[2];
        const projected = await project(checkpoint, token, part);
        for (let head = 0; head < seen.shape[1]; head++) {
          const row = projected.slice(8 * head, 8 * head + 8);
          const rotated = part === "v" ? row : ropedRow(row, position, spec.layers[0].rope!);
          rotated.forEach((value, i) =>
            assertAlmostEquals(value, seen.data[position * size + 8 * head + i], 1e-5)
          );
        }
      }
    }
    await captured.close();
    await checkpoint.close();
  },
);

/** A projection of the first layer, of a token's normalised embedding. */
async function project({ weights }: Checkpoint, token: number, part: "q" | "k" | "v") {
  const x = (await weights.read("embedding.weight")).data.subarray(64 * token, 64 * token + 64);
  const norm = (await weights.read("layers.0.attentionNorm.weight")).data;
  const { data, shape } = await weights.read(`layers.0.${part}.weight`);
  const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / 64 + 1e-5);
  return Array.from(
    { length: shape[0] },
    (_, i) => x.reduce((sum, value, j) => sum + value * scale * norm[j] * data[64 * i + j], 0),
  );
}
