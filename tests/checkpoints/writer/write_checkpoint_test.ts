// Written checkpoints: each family reads back as it was, a llama2.c model as a Llama, and failures leave nothing.
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type Checkpoint,
  CheckpointError,
  openCheckpoint,
  openTokenizer,
  Safetensors,
  withPooledKvHeads,
  writeCheckpoint,
} from "../../../src/checkpoints/mod.ts";
import { openFile } from "../../../src/checkpoints/byte_source.ts";
import { ReferenceDecoder } from "../../../src/model/reference.ts";
import { weightShapes } from "../../../src/model/weight_shapes.ts";
import { inFolder } from "../../support/checkpoint_files.ts";
import { withModel } from "../../support/commands.ts";
import { assertClose } from "../../support/compare.ts";
import { FAMILY_CONFIGS, familyFile, inOneFile } from "../../support/family_files.ts";
import { testRandomly } from "../../support/random.ts";
import { greedyTokens, STORIES, testStories } from "../../support/stories.ts";

const quiet = { warn: () => {} };

/** Opens a checkpoint for a time. */
async function opened<Value>(
  path: string,
  use: (checkpoint: Checkpoint) => Promise<Value>,
): Promise<Value> {
  const checkpoint = await openCheckpoint(path, quiet);
  try {
    return await use(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function assertSame(actual: Checkpoint, expected: Checkpoint): Promise<void> {
  assertEquals(actual.spec, expected.spec);
  for (const { name } of weightShapes(expected.spec)) {
    assertEquals(actual.weights.has(name), expected.weights.has(name), name);
    if (!expected.weights.has(name)) continue;
    assertEquals(await actual.weights.read(name), await expected.weights.read(name), name);
  }
}

for (const config of FAMILY_CONFIGS) {
  const type = JSON.stringify(config).match(/"model_type":"(\w+)"/g)!.join(", ");
  testRandomly(
    `writeCheckpoint(): ${type} with ${Object.keys(config).length} fields reads back as it was`,
    async (random) => {
      const { tensors } = familyFile(random, config);
      await inFolder(inOneFile({ ...config, eos_token_id: [3, 4] }, tensors), async (folder) => {
        await opened(folder, async (source) => {
          await writeCheckpoint(`${folder}/written`, source);
          await opened(`${folder}/written`, async (written) => {
            await assertSame(written, source);
            assertEquals(written.endOfText, [3, 4]);
            assertEquals(written.config!.torch_dtype, "float32");
            assert(!("vision_config" in written.config!) && !("text_config" in written.config!));
          });
          // One KV head: where the family has a place for it, it is one.
          const shared = withPooledKvHeads(source, { kvHeads: 1 });
          await writeCheckpoint(`${folder}/shared`, shared);
          await opened(`${folder}/shared`, (written) => assertSame(written, shared));
        });
      });
    },
  );
}

testRandomly(
  "writeCheckpoint(): a llama2.c model becomes a Llama of the same logits",
  async (random) => {
    await withModel(random, async ({ folder, model, tokenizer }) => {
      await opened(model, async (source) => {
        await writeCheckpoint(`${folder}/written`, source, { tokenizer });
        await opened(`${folder}/written`, async (written) => {
          const styles = written.spec.layers.map(({ rope }) => rope!.style);
          assertEquals(styles, ["halves", "halves"]);
          const tokens = Array.from(
            { length: 9 },
            () => random.integer(0, source.spec.vocabSize - 1),
          );
          const [expected, actual] = await Promise.all(
            [source, written].map(async (checkpoint) =>
              (await ReferenceDecoder.create(checkpoint.spec, checkpoint.weights)).forward(tokens)
                .logits
            ),
          );
          assertClose(actual, expected, 1e-12, "logits");
          // Rows of a head of 4: the first of both pairs, then the second of both.
          const [before, after] = [source, written].map(({ weights }) =>
            weights.read("layers.1.k.weight")
          );
          const rowOf = (
            { data }: { data: Float32Array },
            row: number,
          ) => [...data.subarray(16 * row, 16 * row + 16)];
          for (const [row, from] of [0, 2, 1, 3].entries()) {
            assertEquals(rowOf(await after, 4 + row), rowOf(await before, 4 + from));
          }
          const [own, other] = await Promise.all([
            openTokenizer(tokenizer, source),
            openTokenizer(`${folder}/written`, written),
          ]);
          const text = "ab aéb  baab\nb";
          assertEquals(other.encode(text), own.encode(text));
        });
        const file = await Safetensors.open(await openFile(`${folder}/written/model.safetensors`));
        const layer = (n: number) =>
          [
            ...["input_layernorm", "mlp.down_proj", "mlp.gate_proj", "mlp.up_proj"],
            ...["post_attention_layernorm", "self_attn.k_proj", "self_attn.o_proj"],
            ...["self_attn.q_proj", "self_attn.v_proj"],
          ].map((name) => `model.layers.${n}.${name}.weight`);
        assertEquals(file.names.toSorted(), [
          ...["model.embed_tokens.weight", ...layer(0), ...layer(1), "model.norm.weight"],
        ]);
        assertEquals(file.metadata, { format: "pt" });
        await file.close();
        const config = JSON.parse(await Deno.readTextFile(`${folder}/written/config.json`));
        assertEquals(config, {
          ...{ model_type: "llama", architectures: ["LlamaForCausalLM"], torch_dtype: "float32" },
          ...{ hidden_size: 16, intermediate_size: 12, num_hidden_layers: 2, hidden_act: "silu" },
          ...{ num_attention_heads: 4, num_key_value_heads: 2, head_dim: 4, rms_norm_eps: 1e-5 },
          ...{ vocab_size: source.spec.vocabSize, max_position_embeddings: 48, rope_theta: 10000 },
          ...{ attention_bias: false, eos_token_id: null, tie_word_embeddings: true },
        });
      });
    });
  },
);

testRandomly(
  "writeCheckpoint(): a tokenizer's files come along, from a folder or by its file",
  async (random) => {
    const [config] = FAMILY_CONFIGS;
    const { tensors } = familyFile(random, config);
    const beside = {
      "tokenizer.json": "{}",
      "tokenizer_config.json": '{"a": 1}',
      "chat_template.jinja": "{{ a }}",
      "generation_config.json": '{"eos_token_id": 4}',
    };
    await inFolder({ ...inOneFile(config, tensors), ...beside }, async (folder) => {
      await opened(folder, async (source) => {
        for (const [i, tokenizer] of [folder, `${folder}/tokenizer.json`].entries()) {
          // Folders above it are made too.
          const written = `${folder}/above/${i}`;
          await writeCheckpoint(written, source, { tokenizer });
          const names = [...Deno.readDirSync(written)].map(({ name }) => name).toSorted();
          assertEquals(names, [
            ...["chat_template.jinja", "config.json", "model.safetensors"],
            ...["tokenizer.json", "tokenizer_config.json"],
          ]);
          assertEquals(await Deno.readTextFile(`${written}/tokenizer_config.json`), '{"a": 1}');
        }
      });
    });
  },
);

testRandomly("writeCheckpoint(): where it fails, nothing is left", async (random) => {
  const bigCode = FAMILY_CONFIGS.find(({ model_type }) => model_type === "gpt_bigcode")!;
  const config = { ...bigCode, multi_query: false };
  const { tensors } = familyFile(random, config);
  await inFolder({ ...inOneFile(config, tensors), full: "" }, async (folder) => {
    await Deno.mkdir(`${folder}/taken`);
    await Deno.writeTextFile(`${folder}/taken/a.txt`, "");
    await opened(folder, async (source) => {
      const { spec, weights } = source;
      const names = () => [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted();
      const before = names();
      const broken = (name: string, value: number) => ({
        ...source,
        weights: {
          has: weights.has,
          async read(other: string) {
            const { data, shape } = await weights.read(other);
            return {
              data: other === name ? data.with(2, value) as Float32Array<ArrayBuffer> : data,
              shape,
            };
          },
        },
      });
      const refuses = async (
        path: string,
        checkpoint: Omit<Checkpoint, "close">,
        kind: typeof CheckpointError | typeof RangeError,
        says: string,
        options = {},
      ) => {
        const error = await writeCheckpoint(`${folder}/${path}`, checkpoint, options)
          .then(() => undefined, (error: Error) => error);
        assert(error instanceof kind, `${error}`);
        assertStringIncludes(error.message, says);
        assertEquals(names(), before);
      };
      await refuses("taken", source, CheckpointError, 'names=["a.txt"]');
      await refuses("full", source, CheckpointError, "a new folder");
      await refuses("full/a", source, CheckpointError, "does not let it be written");
      // GPT-BigCode has as many KV heads as heads, or one.
      const two = withPooledKvHeads(source, { kvHeads: 2 });
      await refuses("new", two, RangeError, "say its numKvHeads");
      const layers = spec.layers.map(() => ({ window: 3 }));
      await refuses("new", { ...source, spec: { ...spec, layers } }, RangeError, "say its layers");
      await refuses(
        "new",
        broken("layers.1.down.weight", NaN),
        RangeError,
        "h.1.mlp.c_proj.weight",
      );
      await refuses("new", broken("finalNorm.bias", Infinity), RangeError, "value=Infinity");
      const extra = {
        ...weights,
        has: (name: string) => name === "layers.0.qNorm.weight" || weights.has(name),
      };
      await refuses("new", { ...source, weights: extra }, CheckpointError, "layers.0.qNorm.weight");
      await refuses("new", source, CheckpointError, "no such file", {
        tokenizer: `${folder}/none.json`,
      });
    });
  });
});

Deno.test("writeCheckpoint(): a decoder without a config.json that is no Llama", async () => {
  await assertRejects(
    () =>
      writeCheckpoint("/no/folder", {
        spec: {
          ...{
            vocabSize: 4,
            dim: 4,
            hiddenDim: 4,
            numHeads: 1,
            numKvHeads: 1,
            headDim: 4,
            contextLen: 4,
          },
          layers: [{ rope: {} }],
          norm: { kind: "layer", eps: 1e-5 },
          ...{ activation: "gelu", isGated: true, isParallel: false },
        },
        weights: { has: () => false, read: () => Promise.reject() },
        endOfText: [],
      }),
    RangeError,
    "say its layers",
  );
});

testStories(
  "writeCheckpoint(): stories260K as a Llama, and its tokenizer as tokenizer.json",
  async () => {
    await inFolder({}, async (folder) => {
      await opened(STORIES.model, async (source) => {
        const own = await openTokenizer(STORIES.tokenizer, source);
        const endOfText = own.endOfText;
        await writeCheckpoint(`${folder}/a`, { ...source, endOfText }, {
          tokenizer: STORIES.tokenizer,
        });
        await opened(`${folder}/a`, async (written) => {
          const [before, after] = [source, written].map(({ weights }) =>
            weights.read("layers.3.v.weight")
          );
          assertEquals(await after, await before);
          const tokenizer = await openTokenizer(`${folder}/a`, written);
          const texts = [
            own.decode(greedyTokens()),
            '"Why?" asked Tom.\n  He was 3 years old;   caf\u00e9 \u{1f642}!',
            await Deno.readTextFile(new URL(import.meta.url)),
          ];
          for (const text of texts) {
            const tokens = own.encode(text);
            assertEquals(tokenizer.encode(text), tokens);
            assertEquals(tokenizer.decode(tokens), own.decode(tokens));
          }
          assertEquals(tokenizer.endOfText.toSorted(), [1, 2]);
        });
      });
    });
  },
);
