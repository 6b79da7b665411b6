/** The time of steps as a device's ceilings allow it. */
import {
  type CacheShape,
  type DeviceRates,
  kvCacheBytes,
  type KvDtype,
  rooflineTime,
} from "../../../mod.ts";
import type { Model } from "../../shared/preset.ts";
import { attentionRates, type Device } from "../device.ts";
import { weightsTime } from "../weights_time.ts";
import type { StepTimes, TimedWork } from "./step_times.ts";

/** What runs, and where. */
export interface RooflineOptions {
  model: Model;
  /** Its cache: layers and KV heads. */
  shape: CacheShape & { numHeads: number };
  device: Device;
  dtype: KvDtype;
  weightBits: number;
  /** Share of the ceilings that steps reach. */
  efficiency: number;
  /** Seconds of a read by the host. */
  readSeconds: number;
  /** GPUs that the cache is divided over, beside the one with the weights; 0 where that one holds it. */
  shards: number;
}

/** Layers that see as many tokens. */
interface Layers {
  /** Tokens that they see, at most. */
  window: number;
  bytesPerToken: number;
  flopsPerPair: number;
}

/**
 * Steps as the ceilings allow them: weights are read once and multiply every token; attention reads the keys and values of each
 * sequence once, and multiplies every new token with those that it sees. Shards do that side by side, and each layer waits for
 * two reads, one after the other: of its queries, and of the shards' states.
 */
export class RooflineTimes implements StepTimes {
  readonly readSeconds: number;
  readonly #options: RooflineOptions;
  readonly #rates: DeviceRates;
  readonly #layers: readonly Layers[];

  constructor(options: RooflineOptions) {
    this.#options = options;
    this.#rates = attentionRates(options.device);
    this.#layers = layersOf(options);
    this.readSeconds = options.readSeconds;
  }

  stepSeconds(work: readonly TimedWork[]): number {
    const { model, shape, device, weightBits, efficiency, shards, readSeconds } = this.#options;
    const tokens = work.reduce((sum, { count }) => sum + count, 0);
    const weights = weightsTime(model, device, { tokens, weightBits }).seconds;
    const attention = this.#attentionSeconds(work) / Math.max(1, shards);
    const reads = shards === 0 ? 0 : 2 * shape.numLayers;
    return (weights + attention) / efficiency + reads * readSeconds;
  }

  excessSeconds(): number {
    return 0;
  }

  #attentionSeconds(work: readonly TimedWork[]): number {
    let [bytes, flops] = [0, 0];
    for (const { window, bytesPerToken, flopsPerPair } of this.#layers) {
      for (const { first, count } of work) {
        // The tokens of a chunk see one more each; on average as many as the one in their middle.
        const seen = Math.min(first + (count + 1) / 2, window);
        bytes += bytesPerToken * Math.min(first + count, window + count - 1);
        flops += flopsPerPair * count * seen;
      }
    }
    return rooflineTime({ bytes, flops }, this.#rates).seconds;
  }
}

/** The layers that see all tokens, and those that see a window of them. */
function layersOf({ shape, dtype }: RooflineOptions): Layers[] {
  const { windowed, numHeads, headDim, valueDim = headDim } = shape;
  const layers = (numLayers: number, window: number): Layers[] =>
    numLayers === 0 ? [] : [{
      window,
      bytesPerToken: kvCacheBytes(
        { ...shape, numLayers, windowed: undefined },
        { contextLen: 1, dtype },
      ),
      flopsPerPair: 2 * numLayers * numHeads * (headDim + valueDim),
    }];
  if (!windowed) return layers(shape.numLayers, Infinity);
  return [
    ...layers(shape.numLayers - windowed.numLayers, Infinity),
    ...layers(windowed.numLayers, windowed.window + (windowed.sinks ?? 0)),
  ];
}
