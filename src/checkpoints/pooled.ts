import { checkFunction, checkObject } from "../base/check.ts";
import type { DecoderWeights, WeightData } from "../model/weights.ts";
import { checkPooling, poolKvHeads, type PoolOptions } from "../layer/pool_kv_heads.ts";
import { checkCheckpoint, type Checkpoint } from "./checkpoint.ts";

const ACTION = "pool the KV heads of a checkpoint";

/** Options of {@linkcode withPooledKvHeads}. */
export interface PooledKvHeadsOptions extends Pick<PoolOptions, "method"> {
  /** Key/value heads to have: a divisor of those that the checkpoint has. */
  kvHeads: number;
}

/**
 * Gives a checkpoint fewer key/value heads, as {@linkcode poolKvHeads} does, when its weights are read.
 *
 * @param checkpoint A decoder; closing either closes its files.
 * @param options How many KV heads, and how to pool.
 * @returns The decoder with fewer KV heads.
 * @throws {TypeError} If the count is no number, or there is no such method.
 * @throws {RangeError} If the heads do not divide.
 *
 * @example A multi-query decoder of any
 * ```ts ignore
 * import { openCheckpoint, withPooledKvHeads } from "@onehead/attention/checkpoints";
 *
 * const checkpoint = await openCheckpoint("stories260K.bin");
 * const { spec, weights } = withPooledKvHeads(checkpoint, { kvHeads: 1 });
 * const { shape } = await weights.read("layers.0.k.weight");
 * console.log(spec.numKvHeads, shape); // 1 [8, 64]
 * await checkpoint.close();
 * ```
 */
export function withPooledKvHeads(
  checkpoint: Checkpoint,
  options: PooledKvHeadsOptions,
): Checkpoint {
  checkCheckpoint(ACTION, checkpoint);
  checkFunction(ACTION, "checkpoint.close", checkpoint.close);
  checkObject(ACTION, "options", options);
  const { kvHeads, method = "mean" } = options;
  const { spec, weights } = checkpoint;
  const pooling = { from: spec.numKvHeads, to: kvHeads, method };
  checkPooling(pooling);
  const read = async (name: string): Promise<WeightData> => {
    const weight = await weights.read(name);
    if (!/^layers\.\d+\.[kv]\.(weight|bias)$/.test(name)) return weight;
    const [rows, ...columns] = weight.shape;
    return {
      data: Float32Array.from(poolKvHeads(weight.data, pooling)),
      shape: [rows / pooling.from * pooling.to, ...columns],
    };
  };
  const pooled: DecoderWeights = { has: (name) => weights.has(name), read };
  return {
    ...checkpoint,
    spec: { ...spec, numKvHeads: kvHeads },
    weights: pooled,
    close: () => checkpoint.close(),
  };
}
