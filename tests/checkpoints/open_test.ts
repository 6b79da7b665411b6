// Checkpoints as people have them, of every family: every tensor counts, and the files that tell of it are read or refused.
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type Checkpoint,
  CheckpointError,
  openCheckpoint,
  openTokenizer,
} from "../../src/checkpoints/mod.ts";
import { HfConfig } from "../../src/checkpoints/config.ts";
import { readFamily } from "../../src/checkpoints/families/mod.ts";
import { inFolder, numbered, safetensors } from "../support/checkpoint_files.ts";
import {
  FAMILY_CONFIGS,
  familyFile,
  inOneFile,
  inShards,
  withField,
} from "../support/family_files.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { utf16 } from "../support/text_files.ts";
import { FIRST_PIECE, tokenizerFile } from "../support/tokenizer_file.ts";
import { LLAMA_JSON } from "../support/tokenizer_json.ts";

type Files = Parameters<typeof inFolder>[0];

const INDEX = "model.safetensors.index.json";
const CLASSIFIER = "lm_head.weight";

/** Opens a folder of these files; says what was said about it. */
async function opened(
  files: Files,
  use: (checkpoint: Checkpoint, said: string[]) => Promise<void>,
): Promise<void> {
  await inFolder(files, async (folder) => {
    const said: string[] = [];
    const checkpoint = await openCheckpoint(folder, { warn: (text) => void said.push(text) });
    try {
      await use(checkpoint, said);
    } finally {
      await checkpoint.close();
    }
  });
}

/** The message of the refusal of a folder of these files; paths are left out of it. */
async function refusal(files: Files): Promise<string> {
  let message = "";
  await inFolder(files, async (folder) => {
    const error = await assertRejects(
      () => openCheckpoint(folder, { warn: () => {} }),
      CheckpointError,
    );
    message = error.message.replaceAll(folder, "m");
  });
  assert(message.length < 1500, message);
  return message;
}

function testFamilies(
  what: string,
  test: (random: Random, config: Record<string, unknown>) => Promise<void>,
): void {
  FAMILY_CONFIGS.forEach((config, i) => {
    testRandomly(`${config.model_type} (${i}): ${what}`, (random) => test(random, config));
  });
}

testFamilies("one matrix for both ends, under either name or under both", async (random, given) => {
  const config = withField(given, "tie_word_embeddings", true);
  const { tensors, embedding } = familyFile(random, config);
  const { [embedding]: matrix, ...others } = tensors;
  const files = [
    tensors,
    { ...others, [CLASSIFIER]: matrix },
    { ...tensors, [CLASSIFIER]: matrix },
    { ...others, "language_model.lm_head.weight": matrix },
  ];
  for (const tensors of files) {
    for (const written of [inOneFile(config, tensors), inShards(config, tensors).files]) {
      await opened(written, async ({ weights }, said) => {
        assertEquals(await weights.read("embedding.weight"), matrix);
        assertEquals([weights.has("classifier.weight"), said], [false, []]);
      });
    }
  }
});

testFamilies(
  "two matrices where the configuration ties them: both are used",
  async (random, given) => {
    const config = withField(given, "tie_word_embeddings", true);
    const { tensors, embedding } = familyFile(random, config);
    const data = tensors[embedding].data.slice();
    data[data.length - 1] += 1;
    const other = { data, shape: [5, 8] };
    for (
      const make of [inOneFile, (...args: Parameters<typeof inShards>) => inShards(...args).files]
    ) {
      await opened(make(config, { ...tensors, [CLASSIFIER]: other }), async ({ weights }, said) => {
        assertEquals(await weights.read("embedding.weight"), tensors[embedding]);
        assertEquals(await weights.read("classifier.weight"), other);
        assertEquals(said.length, 1);
        assertStringIncludes(
          said[0],
          `ties ${embedding} and lm_head.weight, which differ there: both are used.`,
        );
      });
    }
    const wrong = { ...tensors, [CLASSIFIER]: random.tensor([6, 8]) };
    assertStringIncludes(await refusal(inOneFile(config, wrong)), "needed=[5, 8], shape=[6, 8]");
  },
);

testFamilies("two matrices, of which one is missing", async (random, given) => {
  const config = withField(given, "tie_word_embeddings", false);
  const { tensors, embedding } = familyFile(random, config);
  await opened(inOneFile(config, tensors), async ({ weights }, said) => {
    assertEquals(await weights.read("classifier.weight"), tensors[CLASSIFIER]);
    assertEquals(said, []);
  });
  const { [CLASSIFIER]: _, ...noClassifier } = tensors;
  const says =
    'tensor "lm_head.weight" of m/model.safetensors as it is missing (if the embedding serves in its place, config.json must say so: "tie_word_embeddings": true)';
  assertStringIncludes(await refusal(inOneFile(config, noClassifier)), says);
  const { [embedding]: __, ...noEmbedding } = tensors;
  const message = await refusal(inOneFile(config, noEmbedding));
  assertStringIncludes(message, embedding);
  assertStringIncludes(
    message,
    '(if lm_head.weight is the embedding too, config.json must say so: "tie_word_embeddings": true)',
  );
});

testFamilies(
  "a tensor without a place is refused by name, wherever it lies",
  async (random, config) => {
    const { tensors, prefix } = familyFile(random, config);
    const { files, map } = inShards(config, tensors);
    const [first] = Object.values(map);
    for (const name of ["lm_head.bias", `${prefix}extra.weight`, "score.weight", "x"]) {
      const one = { [name]: random.tensor([5]) };
      const says = `tensor "${name}" of m/`;
      const cure = "without it this would be another model (mend config.json, or remove it)";
      const message = await refusal(inOneFile(config, { ...tensors, ...one }));
      assertStringIncludes(message, `${says}model.safetensors as`);
      assertStringIncludes(message, cure);
      // In a shard that is listed, and in one that is not.
      const own = Object.fromEntries(Object.entries(tensors).filter(([it]) => map[it] === first));
      const within = { ...files, [first]: safetensors({ ...own, ...one }) };
      assertStringIncludes(await refusal(within), `${says}${first}`);
      const beside = "model-00003-of-00003.safetensors";
      assertStringIncludes(
        await refusal({ ...files, [beside]: safetensors(one) }),
        `${says}${beside}`,
      );
    }
    const two = { ...tensors, a: random.tensor([1]), b: random.tensor([1]) };
    assertStringIncludes(await refusal(inOneFile(config, two)), 'others=["b"]');
  },
);

testFamilies("a tensor that the index leaves out is used", async (random, config) => {
  const { tensors, embedding } = familyFile(random, config);
  const { files, map } = inShards(config, tensors);
  for (const name of [embedding, random.pick(Object.keys(tensors))]) {
    const { [name]: _, ...rest } = map;
    const index = JSON.stringify({ weight_map: rest });
    await opened({ ...files, [INDEX]: index }, async ({ weights }) => {
      assertEquals(await weights.read("embedding.weight"), tensors[embedding]);
    });
  }
});

testFamilies(
  "what is known to be needless is passed over, whatever its type",
  async (random, config) => {
    const { tensors } = familyFile(random, config);
    const needless = [
      ...["a.rotary_emb.inv_freq", "b.rotary_emb.cos_cached", "b.rotary_emb.sin_cached"],
      ...["h.0.attn.bias", "h.0.attn.masked_bias", "vision_tower.patch.weight"],
      ...["model.vision_tower.x.bias", "multi_modal_projector.y", "model.multi_modal_projector.z"],
    ].map((name) => [name, random.tensor([2])]);
    const all = { ...tensors, ...Object.fromEntries(needless) };
    await opened(inOneFile(config, all), (_, said) => Promise.resolve(assertEquals(said, [])));
  },
);

testRandomly("an index and the files beside it", async (random) => {
  const [config] = FAMILY_CONFIGS;
  const { tensors, embedding } = familyFile(random, config);
  const { files, map } = inShards(config, tensors);
  const shards = Object.keys(files).filter((name) => name.endsWith(".safetensors"));
  const { [shards[0]]: _, [shards[1]]: __, ...withoutShards } = files;
  const whole = inOneFile(config, tensors);
  const expect = async (files: Files) =>
    await opened(files, async ({ weights }) => {
      assertEquals(await weights.read("embedding.weight"), tensors[embedding]);
    });

  // A whole model, beside what is left of its shards; files of other names; a copy in a shard of another save.
  await expect({ ...whole, ...withoutShards });
  await expect({ ...whole, [INDEX]: "{" });
  await expect({ ...files, "consolidated.safetensors": "no model", "adapter.safetensors": "none" });
  const stale = safetensors({ [embedding]: random.tensor([5, 8]) });
  await expect({ ...files, "model-00003-of-00003.safetensors": stale });

  const missing = await refusal({ ...withoutShards, [shards[0]]: files[shards[0]] });
  assertStringIncludes(
    missing,
    `Cannot read m/${shards[1]} as there is no such file (check its name, or fetch it)`,
  );
  const unreadable = await refusal({ ...files, "model-00003-of-00003.safetensors": "no model" });
  assertStringIncludes(
    unreadable,
    "a shard beside it that it does not list and that cannot be read (move it away",
  );
  const two = safetensors({ extra: numbered([1]) });
  assertStringIncludes(
    await refusal({
      ...files,
      "model-00003-of-00003.safetensors": two,
      "model-00004-of-00004.safetensors": two,
    }),
    'tensor "extra" of m/model.safetensors.index.json as two shards have it',
  );
  const bins = { weight_map: { [embedding]: "pytorch_model-00001-of-00002.bin" } };
  assertStringIncludes(
    await refusal({ ...files, [INDEX]: JSON.stringify(bins) }),
    "must be the name of a safetensors file beside the index (convert others)",
  );
  const lost = { weight_map: { ...map, [embedding]: shards.find((it) => it !== map[embedding]) } };
  assertStringIncludes(
    await refusal({ ...files, [INDEX]: JSON.stringify(lost) }),
    "the shard that the index has it in lacks it (fetch both again)",
  );
});

testRandomly("what is no model is refused, with what it is", async (random) => {
  const [config] = FAMILY_CONFIGS;
  const { "config.json": json, "model.safetensors": model } = inOneFile(
    config,
    familyFile(random, config).tensors,
  );
  const bytes = (text: string) => Uint8Array.from(text.padEnd(64, " "), (it) => it.charCodeAt(0));
  const cases: [files: Files, says: string][] = [
    [
      {},
      "must hold model.safetensors or model.safetensors.index.json, or one .safetensors or .bin (name the file that is meant): current value names=[]",
    ],
    [{ "a.bin": "", "b.bin": "" }, "(name the file that is meant)"],
    [{ "model.safetensors": model }, "m/config.json as there is no such file"],
    [{
      "config.json": json,
      "model.safetensors": "version https://git-lfs.github.com/spec/v1\noid",
    }, "it is a pointer of Git LFS (fetch the file itself: git lfs pull)"],
    [{
      "config.json": "version https://git-lfs.github.com/spec/v1\noid",
      "model.safetensors": model,
    }, "m/config.json as it is a pointer of Git LFS"],
    [
      { "config.json": "<!DOCTYPE html><html>", "model.safetensors": model },
      "it is a web page (fetch the file itself)",
    ],
    [
      { "config.json": json, "model.safetensors": "<!doctype html>".padEnd(99) },
      "it is a web page",
    ],
    [
      { "pytorch_model.bin": bytes("PK\x03\x04") },
      "it is an archive of PyTorch or NumPy (convert the model to safetensors)",
    ],
    [{ "pytorch_model.bin": bytes("\x80\x02\x8a\x0a") }, "it is a pickle of PyTorch"],
    [{ "model.bin": bytes("GGUF") }, "it is a model of llama.cpp (get the safetensors"],
    [
      { "model.bin": bytes("24ka") },
      "it is a newer layout of llama2.c (export it with --version 0)",
    ],
    [{ "model.bin": bytes("?") }, "it is damaged, or no model of llama2.c"],
    [
      {
        "config.json": json,
        "model-00001-of-00002.safetensors": "",
        "model-00002-of-00002.safetensors": "",
      },
      "its shards must have their model.safetensors.index.json beside them (fetch it)",
    ],
  ];
  for (const [files, says] of cases) assertStringIncludes(await refusal(files), says);
  await inFolder({ "config.json": json }, async (folder) => {
    await assertRejects(
      () => openCheckpoint(`${folder}/none.safetensors`),
      CheckpointError,
      `${folder}/none.safetensors as there is no such file (check its name, or fetch it)`,
    );
    await assertRejects(
      () => openCheckpoint(`${folder}/config.json`),
      CheckpointError,
      "it is no model (give the folder that it lies in)",
    );
  });
});

testFamilies(
  "byte order marks, UTF-16 and Python's numbers in all files of text",
  async (random, config) => {
    const { tensors, embedding } = familyFile(random, config);
    const { files } = inShards(config, tensors);
    const mark = "\uFEFF";
    const forms = [
      (text: string) => mark + text,
      (text: string) => utf16(mark + text, "little"),
      (text: string) => utf16(mark + text, "big"),
      (text: string) => text.replace(/}$/, ', "time_step_limit": [0.0, Infinity], "x": NaN}'),
    ];
    for (const form of forms) {
      const written = {
        ...files,
        "config.json": form(JSON.stringify(config)),
        [INDEX]: form(files[INDEX] as string),
        "generation_config.json": form('{"eos_token_id": 3}'),
      };
      await opened(written, async ({ weights, endOfText }) => {
        assertEquals(await weights.read("embedding.weight"), tensors[embedding]);
        assertEquals(endOfText, [3]);
      });
    }
    const nan = withField(config, "vocab_size", "NaN");
    const text = JSON.stringify(nan).replace('"NaN"', "NaN");
    assertStringIncludes(await refusal({ ...files, "config.json": text }), "vocab_size=NaN");
    const bare = { ...files, "config.json": utf16(JSON.stringify(config), "little") };
    assertStringIncludes(
      await refusal(bare),
      "UTF-16 must begin with a byte order mark (save it as UTF-8)",
    );
  },
);

testFamilies(
  "what ends a text: generation_config.json, or else config.json",
  async (random, config) => {
    const { tensors } = familyFile(random, config);
    const ends = async (own: Record<string, unknown>, generation?: unknown) => {
      let found: readonly number[] = [];
      const files: Files = { ...inOneFile({ ...config, ...own }, tensors) };
      const more: Files = generation === undefined
        ? {}
        : { "generation_config.json": JSON.stringify(generation) };
      await opened({ ...files, ...more }, ({ endOfText }) => {
        found = endOfText;
        return Promise.resolve();
      });
      return found;
    };
    const { text_config: inner } = config;
    const nested = { text_config: { ...inner as object, eos_token_id: [1, 4] } };
    assertEquals(await ends({}), []);
    assertEquals(await ends({ eos_token_id: 2 }), [2]);
    assertEquals(await ends({ eos_token_id: [2, 3] }), [2, 3]);
    assertEquals(await ends({ eos_token_id: 2 }, { eos_token_id: 3 }), [3]);
    assertEquals(await ends({ eos_token_id: 2 }, { eos_token_id: [0, 3] }), [0, 3]);
    assertEquals(await ends({ eos_token_id: 2 }, { eos_token_id: null }), [2]);
    assertEquals(await ends({ eos_token_id: 2 }, { temperature: 0.6 }), [2]);
    if (inner) {
      assertEquals(await ends(nested), [1, 4]);
      assertEquals(await ends({ ...nested, eos_token_id: 2 }), [2]);
      assertEquals(await ends({ ...nested, eos_token_id: null }), [1, 4]);
      assertEquals(await ends(nested, { eos_token_id: 0 }), [0]);
    }
    for (const eos_token_id of ["2", -1, 1.5, [2, null], { a: 2 }]) {
      const wrong = inOneFile({ ...config, eos_token_id }, tensors);
      assertStringIncludes(
        await refusal(wrong),
        'm/config.json as "eos_token_id" must be a whole number of at least 0',
      );
      const files = {
        ...inOneFile(config, tensors),
        "generation_config.json": JSON.stringify({ eos_token_id }),
      };
      assertStringIncludes(await refusal(files), "m/generation_config.json as");
    }
  },
);

Deno.test("the end of a text by the configuration class, which null takes away", () => {
  const classes = {
    ...{ llama: 2, mistral: 2, gemma: 1, gemma3: 1, gemma3_text: 1, gpt_bigcode: 50_256 },
    ...{ falcon: 11, RefinedWeb: 11, RefinedWebModel: 11 },
  };
  const classEnd = (config: object) =>
    readFamily(HfConfig.parse(JSON.stringify(config), "config.json")).classEndOfText;
  for (const [model_type, end] of Object.entries(classes)) {
    const config = { model_type };
    assertEquals(classEnd(config), [end], model_type);
    assertEquals(classEnd({ ...config, eos_token_id: null }), [], model_type);
    assertEquals(classEnd({ ...config, eos_token_id: [3, 4] }), [], model_type);
  }
  assertEquals(classEnd({ model_type: "gemma3", eos_token_id: 7, text_config: {} }), [1]);
});

testRandomly(
  "openTokenizer(): a file or its folder, with the files beside it and the model's ends",
  async (random) => {
    const [config] = FAMILY_CONFIGS;
    const model = { ...config, vocab_size: 300, eos_token_id: 263 };
    const files = {
      ...inOneFile(model, familyFile(random, model).tensors),
      "tokenizer.json": JSON.stringify(LLAMA_JSON),
      "tokenizer_config.json": JSON.stringify({ eos_token: "</s>" }),
      "special_tokens_map.json": JSON.stringify({ eos_token: "ab", pad_token: "a" }),
      "tok.bin": tokenizerFile(Array.from({ length: 300 - FIRST_PIECE }, (_, i) => `piece ${i}`)),
    };
    await inFolder(files, async (folder) => {
      const checkpoint = await openCheckpoint(folder);
      for (const path of [folder, `${folder}/`, `${folder}/tokenizer.json`]) {
        const tokenizer = await openTokenizer(path, checkpoint);
        assertEquals(tokenizer.vocabSize, 300);
        assertEquals(tokenizer.endOfText, [263, 2]);
        // What is named for padding is no text.
        assertEquals(tokenizer.decode(tokenizer.encode("b a")), "b ");
      }
      const old = await openTokenizer(`${folder}/tok.bin`, checkpoint);
      assertEquals([old.vocabSize, old.endOfText], [300, [1, 2]]);
      await checkpoint.close();

      const refuse = async (says: string) =>
        await assertRejects(() => openTokenizer(folder, checkpoint), CheckpointError, says);
      await Deno.remove(`${folder}/tokenizer.json`);
      await refuse("it must hold tokenizer.json (fetch it, or name the tokenizer's file)");
      await Deno.writeTextFile(`${folder}/tokenizer.model`, "");
      await refuse("save it from tokenizer.model by AutoTokenizer of transformers");
      await assertRejects(
        () => openTokenizer(`${folder}/none`, checkpoint),
        CheckpointError,
        "no such file",
      );
    });
  },
);

const refused = async (path: string, kind: string) =>
  await assertRejects(() => openCheckpoint(path), CheckpointError, `kind="${kind}"`);

Deno.test("devices and folders in place of a file are refused before they are opened", async () => {
  await inFolder({ "config.json": JSON.stringify(FAMILY_CONFIGS[0]) }, async (folder) => {
    await Deno.mkdir(`${folder}/model.safetensors`);
    await refused(folder, "folder");
    await refused("/dev/zero", "device");
  });
});

const { state } = await Deno.permissions.query({ name: "run", command: "mkfifo" });

Deno.test("a pipe in place of a file is refused before it is opened", {
  ignore: state !== "granted",
}, async () => {
  await inFolder({}, async (folder) => {
    const pipe = `${folder}/model.bin`;
    assert((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
    await refused(pipe, "pipe");
    // It is the only .bin of its folder.
    await refused(folder, "pipe");
  });
});
