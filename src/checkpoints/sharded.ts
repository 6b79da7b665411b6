import { isJsonObject } from "../base/json.ts";
import type { WeightData } from "../model/weights.ts";
import type { ByteSource } from "./byte_source.ts";
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
  /** What messages call it: the index. */
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
   * @returns The tensors, none of them read yet.
   * @throws {CheckpointError} If the index or a header is damaged, or a shard lacks a tensor that the index has in it.
   */
  static async open(
    index: ByteSource,
    openShard: (name: string) => Promise<ByteSource>,
  ): Promise<ShardedSafetensors> {
    const fileOf = await readIndex(index);
    const shards = new Map<string, Safetensors>();
    try {
      for (const file of new Set(fileOf.values())) {
        shards.set(file, await Safetensors.open(await openShard(file)));
      }
      const shardOf = new Map<string, Safetensors>();
      for (const [name, file] of fileOf) {
        const shard = shards.get(file)!;
        if (!shard.describe(name)) {
          throw checkpointError(
            tensorOf(index.name, name),
            "the shard that the index has it in lacks it",
            { shard: shard.name },
          );
        }
        shardOf.set(name, shard);
      }
      return new ShardedSafetensors(index.name, [...shards.values()], shardOf);
    } catch (error) {
      for (const shard of shards.values()) await shard.close();
      throw error;
    }
  }

  /** The names of all tensors that the index lists. */
  get names(): string[] {
    return [...this.#shardOf.keys()];
  }

  /**
   * Says what the header of a tensor's shard says of it.
   *
   * @param name One of {@linkcode ShardedSafetensors.names}.
   * @returns Its shard, element type and shape; nothing where there is no such tensor.
   */
  describe(name: string): TensorDescription | undefined {
    return this.#shardOf.get(name)?.describe(name);
  }

  /**
   * Reads a tensor, converted to f32.
   *
   * @param name One of {@linkcode ShardedSafetensors.names}.
   * @returns The tensor, in memory of its own.
   * @throws {CheckpointError} If the index lists no such tensor, its elements are not F32, F16 or BF16, or it cannot be read.
   */
  async read(name: string): Promise<WeightData> {
    const shard = this.#shardOf.get(name);
    if (!shard) {
      throw checkpointError(tensorOf(this.name, name), "the index lists none of that name", {
        tensors: this.names,
      });
    }
    return await shard.read(name);
  }

  /** Lets go of all shards. */
  async close(): Promise<void> {
    for (const shard of this.#shards) await shard.close();
  }
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
      if (typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file)) {
        throw checkpointError(
          tensorOf(index.name, name),
          "its shard must be the name of a safetensors file beside the index",
          { shard: file },
        );
      }
      return [name, file];
    }),
  );
}
