import { checkArray, checkFunction, checkString } from "../base/check.ts";
import { isJsonObject } from "../base/json.ts";
import type { WeightData } from "../model/weights.ts";
import { type ByteSource, checkSource } from "./byte_source.ts";
import { checkpointError, tensorOf } from "./checkpoint_error.ts";
import { readJsonObject } from "./text_file.ts";
import { Safetensors } from "./safetensors.ts";
import type { TensorDescription, TensorFile } from "./tensor_file.ts";

/**
 * The named tensors of a model that is kept in several safetensors files, as `model.safetensors.index.json` lists them.
 *
 * @example
 * ```ts ignore
 * import { openFile, ShardedSafetensors } from "@onehead/attention/checkpoints";
 *
 * const index = await openFile("model/model.safetensors.index.json");
 * const model = await ShardedSafetensors.open(index, (shard) => openFile(`model/${shard}`));
 * console.log(model.names.length);
 * await model.close();
 * ```
 */
export class ShardedSafetensors implements TensorFile {
  /** Its name in messages: the index. */
  readonly name: string;
  readonly #shards: readonly Safetensors[];
  readonly #shardOf: ReadonlyMap<string, Safetensors>;

  private constructor(
    name: string,
    shards: readonly Safetensors[],
    shardOf: ReadonlyMap<string, Safetensors>,
  ) {
    this.name = name;
    this.#shards = shards;
    this.#shardOf = shardOf;
  }

  /**
   * Reads the index and the headers of all shards, and checks them.
   *
   * @param index The index; it is read and closed.
   * @param openShard Opens the file of that name, which lies beside the index.
   * @param beside The names of all files beside the index. Those that are named as its shards are, but for their numbers, are
   * shards too. The default is none.
   * @returns The tensors, none of them read yet: those that the index lists, and what else is in the shards.
   * @throws {TypeError} If the index is no source, `openShard` no function, or `beside` no array of strings.
   * @throws {RangeError} If the size of a source is not a whole number of at least 0.
   * @throws {CheckpointError} If the index or a header is damaged, a shard is not there or lacks a tensor that the index has in
   * it, or two shards have a tensor that the index does not list.
   */
  static async open(
    index: ByteSource,
    openShard: (name: string) => Promise<ByteSource>,
    beside: readonly string[] = [],
  ): Promise<ShardedSafetensors> {
    checkSource("read tensors", "index", index);
    checkFunction("read tensors", "openShard", openShard);
    checkArray("read tensors", "beside", beside);
    beside.forEach((name, i) => checkString("read tensors", `beside[${i}]`, name));
    const fileOf = await readIndex(index);
    const listed = new Set(fileOf.values());
    const shards = new Map<string, Safetensors>();
    try {
      for (const file of listed) {
        shards.set(file, await Safetensors.open(await openShard(file)));
      }
      for (const file of unlistedShards(listed, beside)) {
        shards.set(file, await openUnlisted(index.name, file, openShard));
      }
      const shardOf = findTensors(index.name, fileOf, shards);
      return new ShardedSafetensors(index.name, [...shards.values()], shardOf);
    } catch (error) {
      for (const shard of shards.values()) await shard.close();
      throw error;
    }
  }

  /** The names of all tensors: those that the index lists, then what else is in the shards. */
  get names(): string[] {
    return [...this.#shardOf.keys()];
  }

  /**
   * Says what the header of a tensor's shard says of it.
   *
   * @param name One of {@linkcode ShardedSafetensors.names}.
   * @returns Its shard, element type and shape; undefined if there is no such tensor.
   * @throws {TypeError} If the name is no string.
   */
  describe(name: string): TensorDescription | undefined {
    checkString("describe a tensor", "name", name);
    return this.#shardOf.get(name)?.describe(name);
  }

  /**
   * Reads a tensor, converted to f32.
   *
   * @param name One of {@linkcode ShardedSafetensors.names}.
   * @returns The tensor, in memory of its own.
   * @throws {CheckpointError} If no shard has such a tensor, its elements are not F32, F16 or BF16, or it cannot be read.
   */
  async read(name: string): Promise<WeightData> {
    return await this.#shard(name).read(name);
  }

  /**
   * Reads some of a tensor's bytes as its shard has them.
   *
   * @param name One of {@linkcode ShardedSafetensors.names}.
   * @param offset The first byte, counted from the tensor's own.
   * @param length How many bytes.
   * @returns As many bytes.
   * @throws {TypeError} If the offset or the length is no number.
   * @throws {RangeError} If one of them is not a whole number of at least 0.
   * @throws {CheckpointError} If there is no such tensor, it has not as many bytes, or they cannot be read.
   */
  async readBytes(name: string, offset: number, length: number): Promise<Uint8Array> {
    return await this.#shard(name).readBytes(name, offset, length);
  }

  /** Lets go of all shards. */
  async close(): Promise<void> {
    for (const shard of this.#shards) await shard.close();
  }

  #shard(name: string): Safetensors {
    const shard = this.#shardOf.get(name);
    if (shard) return shard;
    throw checkpointError(tensorOf(this.name, name), "no shard has one of that name", {
      tensors: this.names,
    });
  }
}

/** Files that are named as the shards of the index are, but for numbers, and are none of them. */
function unlistedShards(listed: ReadonlySet<string>, beside: readonly string[]): string[] {
  const withoutNumbers = (name: string) => name.replace(/\d+/g, "#");
  const patterns = new Set([...listed].map(withoutNumbers));
  return beside.filter((name) => !listed.has(name) && patterns.has(withoutNumbers(name)));
}

async function openUnlisted(
  index: string,
  shard: string,
  openShard: (name: string) => Promise<ByteSource>,
): Promise<Safetensors> {
  try {
    return await Safetensors.open(await openShard(shard));
  } catch (cause) {
    const error = (cause as Error).message;
    const rule = "there is a shard beside it that it does not list and that cannot be read " +
      "(move it away if it is of another save, or fetch the index again)";
    throw checkpointError(index, rule, { shard, error }, cause);
  }
}

/** The shard of each tensor: where the index has it, and for others whichever has it. */
function findTensors(
  index: string,
  fileOf: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, Safetensors>,
): Map<string, Safetensors> {
  const shardOf = new Map<string, Safetensors>();
  for (const [name, file] of fileOf) {
    const shard = shards.get(file)!;
    if (!shard.describe(name)) {
      throw checkpointError(
        tensorOf(index, name),
        "the shard that the index has it in lacks it (fetch both again)",
        { shard: shard.name },
      );
    }
    shardOf.set(name, shard);
  }
  for (const shard of shards.values()) {
    for (const name of shard.names.filter((name) => !fileOf.has(name))) {
      const other = shardOf.get(name);
      if (other) {
        throw checkpointError(
          tensorOf(index, name),
          "two shards have it, and the index does not say which counts (move the wrong one away)",
          { shards: [other.name, shard.name] },
        );
      }
      shardOf.set(name, shard);
    }
  }
  return shardOf;
}

/** The file of each tensor, by its name. */
async function readIndex(index: ByteSource): Promise<Map<string, string>> {
  let map: unknown;
  try {
    map = (await readJsonObject(index)).weight_map;
  } finally {
    await index.close();
  }
  if (!isJsonObject(map) || Object.keys(map).length === 0) {
    throw checkpointError(index.name, '"weight_map" must map names of tensors to files', {
      weight_map: map,
    });
  }
  return new Map(
    Object.entries(map).map(([name, file]) => {
      // A path could lead out of the model's folder.
      if (typeof file !== "string" || !/^[^/\\\p{Cc}]+\.safetensors$/u.test(file)) {
        throw checkpointError(
          tensorOf(index.name, name),
          "its shard must be the name of a safetensors file beside the index (convert others)",
          { shard: file },
        );
      }
      return [name, file];
    }),
  );
}
