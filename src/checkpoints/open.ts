import { checkIsFile, openFile } from "./byte_source.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { closeOnError } from "./close_on_error.ts";
import { HfConfig } from "./config.ts";
import { checkpointError } from "./checkpoint_error.ts";
import { endTokens } from "./end_tokens.ts";
import { namesIn, pathIn } from "./file_system.ts";
import { readFamily } from "./families/mod.ts";
import { familyWeights } from "./family_weights.ts";
import { openLlama2c } from "./llama2c.ts";
import { Safetensors } from "./safetensors.ts";
import { ShardedSafetensors } from "./sharded.ts";
import { findTextFile, readTextFile } from "./text_file.ts";

/** The endings of the names of indexes. */
const INDEX = ".safetensors.index.json";

/** The model's file in a folder: the first of these, as transformers chooses. An index may be left of a model in shards. */
const USUAL = ["model.safetensors", `model${INDEX}`];

/** The endings of the names of shards. */
const SHARD = /-\d+-of-\d+\.safetensors$/;

/** Options of {@linkcode openCheckpoint}. */
export interface OpenOptions {
  /** Told, in a sentence, what is odd and was taken nevertheless. The default is `console.warn`. */
  warn?: (sentence: string) => void;
}

/**
 * Opens a checkpoint: reads its shape, and checks by the headers of its files that all weights are there and have that shape.
 * The weights themselves are read one by one when they are asked for, so that there may be more of them than memory.
 *
 * @param path A llama2.c file; a safetensors file with its `config.json` beside it; a `model.safetensors.index.json` with its
 * shards and `config.json` beside it; or a folder that holds one of these.
 * @param options Who is told of what is odd.
 * @returns The decoder; close it when its weights are read.
 * @throws {CheckpointError} If a file is missing, damaged or cut short, or asks for what the decoder does not have; the message
 * names file, tensor or field, and values.
 *
 * @example
 * ```ts ignore
 * import { openCheckpoint } from "@onehead/attention/checkpoints";
 *
 * const checkpoint = await openCheckpoint("gemma-3-1b");
 * const { shape } = await checkpoint.weights.read("layers.0.k.weight");
 * console.log(checkpoint.spec.numKvHeads, shape); // 1 [256, 1152]
 * await checkpoint.close();
 * ```
 */
export async function openCheckpoint(
  path: string,
  { warn = console.warn }: OpenOptions = {},
): Promise<Checkpoint> {
  const file = await findFile(path);
  if (file.endsWith(".json") && !file.endsWith(INDEX)) {
    throw checkpointError(file, "it is no model (give the folder that it lies in)", { file });
  }
  if (!/\.safetensors(\.index\.json)?$/.test(file)) return await openLlama2c(await openFile(file));
  const folder = file.replace(/[^/\\]*$/, "");
  const config = await readTextFile(`${folder}config.json`);
  const parsed = HfConfig.parse(config.text, config.name);
  const family = readFamily(parsed);
  const endOfText = endTokens(config, await findTextFile(`${folder}generation_config.json`));
  const tensors = file.endsWith(INDEX)
    ? await ShardedSafetensors.open(
      await openFile(file),
      (shard) => openFile(folder + shard),
      await namesIn(folder || "."),
    )
    : await Safetensors.open(await openFile(file));
  return await closeOnError(tensors, async () => ({
    spec: family.spec,
    weights: await familyWeights(tensors, family, warn),
    endOfText,
    classEndOfText: family.classEndOfText,
    config: parsed.toJson(),
    close: () => tensors.close(),
  }));
}

/** The file itself, or that of a folder. */
async function findFile(path: string): Promise<string> {
  const names = await namesIn(path);
  if (!names) {
    await checkIsFile(path);
    return path;
  }
  const models = names.filter((name) => /\.(safetensors|bin)$/.test(name));
  const name = USUAL.find((name) => names.includes(name)) ??
    (models.length === 1 ? models[0] : undefined);
  if (name !== undefined) return pathIn(path, name);
  const usual = USUAL.join(" or ");
  const rule = models.some((name) => SHARD.test(name))
    ? `its shards must have their ${USUAL[1]} beside them (fetch it)`
    : `it must hold ${usual}, or one .safetensors or .bin (name the file that is meant)`;
  throw checkpointError(path, rule, { names });
}
