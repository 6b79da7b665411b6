import { checkFunction, checkObject } from "../base/check.ts";
import { type ByteSource, checkIsFile } from "./byte_source.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { closeOnError } from "./close_on_error.ts";
import { HfConfig } from "./config.ts";
import { checkpointError } from "./checkpoint_error.ts";
import { endTokens } from "./end_tokens.ts";
import { namesIn, pathIn } from "./file_system.ts";
import {
  checkFiles,
  fileAt,
  type FileIn,
  findTextIn,
  folderAt,
  folderOf,
  readTextIn,
} from "./folder.ts";
import { readFamily } from "./families/mod.ts";
import { familyWeights } from "./family_weights.ts";
import { openLlama2c } from "./llama2c.ts";
import { Safetensors } from "./safetensors.ts";
import { ShardedSafetensors } from "./sharded.ts";

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
 * @param model A llama2.c file; a safetensors file with its `config.json` beside it; a `model.safetensors.index.json` with its
 * shards and `config.json` beside it; or a folder that holds one of these: by its path, or all files by their names, as a page
 * has those that a visitor chose ({@linkcode bytesInBlob}).
 * @param options Who is told of what is odd.
 * @returns The decoder; close it when its weights are read.
 * @throws {TypeError} If `model` is neither a path nor an array of files, or an option is of the wrong kind.
 * @throws {RangeError} If the size of a file is not a whole number of at least 0.
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
  model: string | readonly ByteSource[],
  options: OpenOptions = {},
): Promise<Checkpoint> {
  checkObject("open a checkpoint", "options", options);
  const { warn = console.warn } = options;
  checkFunction("open a checkpoint", "warn", warn);
  checkFiles("open a checkpoint", "model", model);
  const { folder, file } = typeof model === "string" ? await findFile(model) : findAmong(model);
  if (!/\.safetensors(\.index\.json)?$/.test(file)) {
    return await openLlama2c(await folder.open(file));
  }
  const config = await readTextIn(folder, "config.json");
  const parsed = HfConfig.parse(config.text, config.name);
  const family = readFamily(parsed);
  const endOfText = endTokens(config, await findTextIn(folder, "generation_config.json"));
  const tensors = file.endsWith(INDEX)
    ? await ShardedSafetensors.open(
      await folder.open(file),
      (shard) => folder.open(shard),
      await folder.names(),
    )
    : await Safetensors.open(await folder.open(file));
  return await closeOnError(tensors, async () => ({
    spec: family.spec,
    weights: await familyWeights(tensors, family, warn),
    endOfText,
    classEndOfText: family.classEndOfText,
    config: parsed.toJson(),
    close: () => tensors.close(),
  }));
}

/** The file of a path, or that of a folder. */
async function findFile(path: string): Promise<FileIn> {
  const names = await namesIn(path);
  if (names) return { folder: folderAt(pathIn(path, "")), file: chooseModel(path, names) };
  await checkIsFile(path);
  const found = fileAt(path);
  if (found.file.endsWith(".json") && !found.file.endsWith(INDEX)) {
    throw checkpointError(path, "it is no model (give the folder that it lies in)", { file: path });
  }
  return found;
}

function findAmong(files: readonly ByteSource[]): FileIn {
  return { folder: folderOf(files), file: chooseModel("a model", files.map(({ name }) => name)) };
}

/** The name of the model among those of a folder. */
function chooseModel(path: string, names: readonly string[]): string {
  const models = names.filter((name) => /\.(safetensors|bin)$/.test(name));
  const name = USUAL.find((name) => names.includes(name)) ??
    (models.length === 1 ? models[0] : undefined);
  if (name !== undefined) return name;
  const usual = USUAL.join(" or ");
  const rule = models.some((name) => SHARD.test(name))
    ? `its shards must have their ${USUAL[1]} beside them (fetch it)`
    : `it must hold ${usual}, or one .safetensors or .bin (name the file that is meant)`;
  throw checkpointError(path, rule, { names });
}
