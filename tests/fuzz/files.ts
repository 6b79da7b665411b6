/**
 * Files at random: models and tokenizers with damage of every kind are read as they are, or refused by a typed error in a short
 * sentence. Nothing else is thrown, nothing runs on and on, and what was read can be used.
 */
import {
  bytesInMemory,
  CheckpointError,
  openLlama2c,
  parseDecoderConfig,
  Safetensors,
  ShardedSafetensors,
  type TensorFile,
} from "../../src/checkpoints/mod.ts";
import { HfConfig } from "../../src/checkpoints/config.ts";
import { endTokens } from "../../src/checkpoints/end_tokens.ts";
import { readFamily } from "../../src/checkpoints/families/mod.ts";
import { familyWeights } from "../../src/checkpoints/family_weights.ts";
import { parseTokenizer } from "../../src/model/tokenizer/parse.ts";
import { TextStream } from "../../src/model/tokenizer/text_stream.ts";
import type { Tokenizer } from "../../src/model/tokenizer/tokenizer.ts";
import { weightShapes } from "../../src/model/weight_shapes.ts";
import { elementCount } from "../../src/tensor/dtype.ts";
import { encode, llama2c, safetensors } from "../support/checkpoint_files.ts";
import { FAMILY_CONFIGS, familyFile, inShards } from "../support/family_files.ts";
import type { Random } from "../support/random.ts";
import { FIRST_PIECE, tokenizerFile } from "../support/tokenizer_file.ts";
import { LLAMA_JSON, OTHER_JSONS } from "../support/tokenizer_json.ts";
import { damagedBytes, damagedJson, drawPattern } from "./mutations.ts";

/** How many files there were of each kind, how many of them were refused, and the longest time that one took. */
export type FilesReport = Record<string, { files: number; refused: number; longestMs: number }>;

const LONGEST_MESSAGE = 2000;
const VOCAB_SIZE = 320;
const utf8 = (text: string) => new TextEncoder().encode(text);
const json = (value: unknown) => utf8(JSON.stringify(value));
const ignore = () => {};

/** Reads `count` files; throws at the first that is neither read nor refused as it should be. */
export async function fuzzFiles(
  random: Random,
  { count, onFile }: { count: number; onFile?(done: number): void },
): Promise<FilesReport> {
  const report: FilesReport = {};

  /** What a file gives; nothing where it was refused. */
  async function attempt<Value>(
    kind: string,
    read: () => Value | Promise<Value>,
    errors: readonly (new (message: string) => Error)[] = [CheckpointError],
  ): Promise<Value | undefined> {
    const counts = report[kind] ??= { files: 0, refused: 0, longestMs: 0 };
    counts.files++;
    const start = performance.now();
    try {
      return await read();
    } catch (error) {
      const { message } = error as Error;
      const isTyped = errors.some((kind) => error instanceof kind) &&
        /^Cannot .+ as .+/s.test(message);
      if (!isTyped) throw new Error(`${kind} failed`, { cause: error });
      if (message.length > LONGEST_MESSAGE) {
        throw new Error(`${kind}: ${message.length} characters`);
      }
      counts.refused++;
    } finally {
      counts.longestMs = Math.max(counts.longestMs, performance.now() - start);
    }
  }

  /** Reads every weight of a model, by what its configuration says. */
  async function readAll(file: TensorFile, config: unknown): Promise<void> {
    const family = readFamily(HfConfig.parse(JSON.stringify(config), "config.json"));
    const weights = await familyWeights(file, family, ignore);
    for (const { name } of weightShapes(family.spec)) {
      if (!weights.has(name)) continue;
      const { data, shape } = await weights.read(name);
      if (data.length !== elementCount(shape)) throw new Error(`${name}: ${data.length}, ${shape}`);
    }
  }

  async function oneFile(): Promise<void> {
    const config = random.pick(FAMILY_CONFIGS);
    const bytes = safetensors(familyFile(random, config).tensors);
    const end = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, end)));
    const damaged = random.next() < 0.5
      ? damagedBytes(random, bytes)
      : encode(random.next() < 0.4 ? header : damagedJson(random, header), bytes.subarray(end));
    await attempt("safetensors", async () => {
      await readAll(await Safetensors.open(bytesInMemory("a.safetensors", damaged)), config);
    });
  }

  async function shards(): Promise<void> {
    const config = random.pick(FAMILY_CONFIGS);
    const { files, map } = inShards(config, familyFile(random, config).tensors);
    const index = json(damagedJson(random, { metadata: { total_size: 1 }, weight_map: map }));
    const damaged = random.next() < 0.2 ? damagedBytes(random, index) : index;
    await attempt("index", async () => {
      const file = await ShardedSafetensors.open(
        bytesInMemory("index.json", damaged),
        (name) => {
          const bytes = Object.hasOwn(files, name) ? files[name] as Uint8Array : undefined;
          if (bytes) return Promise.resolve(bytesInMemory(name, bytes));
          throw new CheckpointError(`Cannot read ${name.slice(0, 99)} as there is no such file`);
        },
        Object.keys(files),
      );
      await readAll(file, config);
    });
  }

  async function config(): Promise<void> {
    const damaged = damagedJson(random, { ...random.pick(FAMILY_CONFIGS), eos_token_id: [1, 2] });
    const text = random.next() < 0.8
      ? JSON.stringify(damaged)
      : new TextDecoder().decode(damagedBytes(random, json(damaged)));
    await attempt("config.json", () => {
      parseDecoderConfig(text, "config.json");
    });
    await attempt("eos_token_id", () => endTokens({ name: "config.json", text }));
  }

  async function oldModel(): Promise<void> {
    const whole = llama2c([8, 6, 2, 4, 2, 5, 3], 758);
    const bytes = random.next() < 0.2 ? whole : damagedBytes(random, whole);
    await attempt("llama2.c", async () => {
      const { spec, weights } = await openLlama2c(bytesInMemory("a.bin", bytes));
      for (const { name } of weightShapes(spec)) if (weights.has(name)) await weights.read(name);
    });
  }

  async function oldTokenizer(): Promise<void> {
    const bytes = damagedBytes(random, tokenizerFile(["ab", " a", "b"]));
    const options = { file: "tok.bin", vocabSize: FIRST_PIECE + 3 };
    const tokenizer = await attempt("tokenizer of llama2.c", () => parseTokenizer(bytes, options));
    if (tokenizer) await use(tokenizer);
  }

  async function tokenizer(): Promise<void> {
    const steps = random.next() < 0.3
      ? {
        pre_tokenizer: {
          type: "Split",
          pattern: { Regex: drawPattern(random) },
          behavior: "Isolated",
        },
      }
      : {};
    const whole = { ...random.pick([LLAMA_JSON, ...OTHER_JSONS]), ...steps };
    const file = random.next() < 0.2 ? whole : damagedJson(random, whole);
    const bytes = random.next() < 0.2 ? damagedBytes(random, json(file)) : json(file);
    const settings = { add_bos_token: true, bos_token: "<s>", eos_token: { content: "</s>" } };
    const options = {
      ...{ file: "tokenizer.json", vocabSize: VOCAB_SIZE, endOfText: [2], warn: ignore },
      config: JSON.stringify(random.next() < 0.5 ? settings : damagedJson(random, settings)),
    };
    const tokenizer = await attempt("tokenizer.json", () => parseTokenizer(bytes, options));
    if (tokenizer) await use(tokenizer);
  }

  /** Encodes and decodes with what was read: all that comes of it are tokens and text, the same in portions. */
  async function use(tokenizer: Tokenizer): Promise<void> {
    const words = ["a", "ab", " ", "  ", "é", "🙂", "<s>", "\n", "a".repeat(50), "\uFEFF"];
    const length = random.integer(0, 40);
    const text = Array.from({ length }, () => random.pick(words)).join("");
    const encoded = await attempt("encode", () => tokenizer.encode(text), [
      RangeError,
      CheckpointError,
    ]);
    const tokens = encoded ??
      Array.from({ length: 20 }, () => random.integer(0, tokenizer.vocabSize - 1));
    const isToken = (token: number) =>
      Number.isInteger(token) && token >= 0 && token < tokenizer.vocabSize;
    if (!tokens.every(isToken)) throw new Error(`${tokens} of ${JSON.stringify(text)}`);
    await attempt("decode", () => {
      const whole = tokenizer.decode(tokens);
      const stream = new TextStream(tokenizer);
      const cut = random.integer(0, tokens.length);
      const parts = stream.push(tokens.slice(0, cut)) + stream.push(tokens.slice(cut)) +
        stream.end();
      if (parts !== whole) throw new Error(`${tokens}: ${JSON.stringify({ parts, whole })}`);
    });
  }

  const kinds = [oneFile, shards, config, oldModel, oldTokenizer, tokenizer, tokenizer, tokenizer];
  for (let done = 0; done < count; done++) {
    await random.pick(kinds)();
    onFile?.(done + 1);
  }
  return report;
}
