// Models and tokenizers of files that a page has: the same as those of a folder, or refused by the name that is missing.
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  bytesInBlob,
  type ByteSource,
  CheckpointError,
  openCheckpoint,
  openTokenizer,
} from "../../src/checkpoints/mod.ts";
import { inFolder, llama2c } from "../support/checkpoint_files.ts";
import { FAMILY_CONFIGS, familyFile, inOneFile, inShards } from "../support/family_files.ts";
import { testRandomly } from "../support/random.ts";
import { LLAMA_JSON } from "../support/tokenizer_json.ts";

type Files = Parameters<typeof inFolder>[0];

function dropped(files: Files): ByteSource[] {
  return Object.entries(files).map(([name, content]) =>
    bytesInBlob(name, new Blob([content as BlobPart]))
  );
}

/** Everything that a checkpoint of files or of a path says, with every weight. */
async function contentOf(model: string | ByteSource[]) {
  const { spec, weights, close, ...rest } = await openCheckpoint(model, { warn: () => {} });
  const names = ["embedding.weight", "layers.0.q.weight", "layers.1.k.weight", "finalNorm.weight"];
  const read = [];
  for (const name of names) read.push(await weights.read(name));
  await close();
  return { spec, read, ...rest };
}

for (const [i, config] of FAMILY_CONFIGS.entries()) {
  testRandomly(`dropped files: ${config.model_type} (${i}) as from its folder`, async (random) => {
    const { tensors } = familyFile(random, config);
    for (const model of [inOneFile(config, tensors), inShards(config, tensors).files]) {
      const files = { ...model, "generation_config.json": '{ "eos_token_id": [3, 4] }' };
      await inFolder(files, async (folder) => {
        const content = await contentOf(dropped(files));
        assertEquals(content, await contentOf(folder));
        assertEquals(content.endOfText, [3, 4]);
      });
    }
  });
}

testRandomly("dropped files: what is missing among them is named", async (random) => {
  const [config] = FAMILY_CONFIGS;
  const { tensors } = familyFile(random, config);
  const one = inOneFile(config, tensors);
  const { "config.json": _, ...noConfig } = one;
  const shards = inShards(config, tensors).files;
  const shard = Object.keys(shards).find((name) => /-of-\d+\.safetensors$/.test(name))!;
  const { [shard]: __, ...noShard } = shards;
  const refused: [Files, string][] = [
    [noConfig, "config.json"],
    [noShard, shard],
    [{}, "model.safetensors"],
    [{ "a.safetensors": "", "b.safetensors": "" }, "a.safetensors"],
    [{ "config.json": "{}" }, "it must hold"],
  ];
  for (const [files, name] of refused) {
    const error = await assertRejects(
      () => openCheckpoint(dropped(files), { warn: () => {} }),
      CheckpointError,
    ) as Error;
    assertStringIncludes(error.message, name);
  }
});

Deno.test("dropped files: a model of llama2.c, and tokenizers", async () => {
  const { spec } = await openCheckpoint(dropped({ "a.bin": llama2c([2, 1, 1, 1, 1, 3, 2], 38) }));
  assertEquals(spec.vocabSize, 3);
  const model = { spec: { ...spec, vocabSize: 300 }, endOfText: [2], classEndOfText: [] };
  const files = {
    "tokenizer.json": JSON.stringify(LLAMA_JSON),
    "tokenizer_config.json": '{ "add_bos_token": false }',
    "config.json": "{}",
  };
  const both = [await openTokenizer(dropped(files), model)];
  await inFolder(files, async (folder) => {
    both.push(await openTokenizer(folder, model));
  });
  const [one, other] = both.map((it) => [it.encode("a"), it.endOfText]);
  assertEquals(one, other);
  await assertRejects(
    () => openTokenizer(dropped({ "tokenizer.model": "", "a.json": "" }), model),
    CheckpointError,
    "AutoTokenizer",
  );
});

Deno.test("bytesInBlob: ranges, their ends, and a file that is gone", async () => {
  const source = bytesInBlob("a", new Blob([new Uint8Array([1, 2, 3])]));
  assertEquals(source.size, 3);
  assertEquals(await source.read(0, 0), new Uint8Array());
  assertEquals(await source.read(1, 2), new Uint8Array([2, 3]));
  await assertRejects(() => source.read(2, 2), CheckpointError, "it ends before");
  const gone = Object.assign(new Blob([new Uint8Array(3)]), {
    slice: () => ({ arrayBuffer: () => Promise.reject(new Error("it was removed")) }),
  });
  await assertRejects(() => bytesInBlob("b", gone).read(0, 1), CheckpointError, "it was removed");
});
