// What is no specification, no weights, no file or no options is refused by name, before anything is read or made.
import { assertRejects, assertThrows } from "@std/assert";
import { openCheckpoint, openFile, writeCheckpoint } from "../../src/checkpoints/mod.ts";
import { connect, modelFingerprint } from "../../src/cluster/mod.ts";
import { Decoder, parseTokenizer, randomWeights } from "../../src/model/mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import { TINY } from "../support/models.ts";

/** Whatever a caller without types may give. */
// deno-lint-ignore no-explicit-any
const given = (value: unknown): any => value;

Deno.test("arguments: sizes of a specification are whole numbers", async () => {
  for (const size of [1n, Symbol("size"), new Date(NaN), "8", null, {}]) {
    const spec = given({ ...TINY, dim: size });
    assertThrows(() => randomWeights(spec), TypeError, "spec.dim must be a number");
  }
  for (const size of [NaN, -1, 1e300, 0.5]) {
    const spec = { ...TINY, vocabSize: size };
    assertThrows(() => randomWeights(spec), RangeError, "spec.vocabSize must be a whole number");
  }
  await assertRejects(
    () => modelFingerprint(given({ ...TINY, headDim: 1n }), randomWeights(TINY), given({})),
    TypeError,
    "spec.headDim must be a number",
  );
});

Deno.test("arguments: weights are asked and read by their names", async () => {
  const gpu = await sharedGpu();
  for (const weights of [new Map(), { has: () => true }, { has: 1, read: 2 }].map(given)) {
    const says = "weights must have functions has and read";
    await assertRejects(() => Decoder.create(gpu, TINY, weights), TypeError, says);
    await assertRejects(() => modelFingerprint(TINY, weights, given({})), TypeError, says);
    await assertRejects(
      () => writeCheckpoint("out", given({ spec: TINY, weights })),
      TypeError,
      says,
    );
  }
});

Deno.test("arguments: files are bytes or paths, and options are objects", async () => {
  const file = { file: "tokenizer.json", vocabSize: 3 };
  for (const value of [null, undefined, 7, 1n, Symbol("s"), {}, Object.create(null)].map(given)) {
    await assertRejects(() => parseTokenizer(value, file), TypeError, "bytes must be");
    const options = { ...file, file: value };
    await assertRejects(
      () => parseTokenizer(new Uint8Array(1), options),
      TypeError,
      "file must be a string",
    );
    await assertRejects(() => openFile(value), TypeError, "path must be a string");
    await assertRejects(() => openCheckpoint(value), TypeError, "model must be a path, or a list");
  }
  for (const value of [null, 7, "nats://127.0.0.1", 1n].map(given)) {
    await assertRejects(() => connect(value), TypeError, "options must be an object");
  }
});
