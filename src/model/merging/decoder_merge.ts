/** A decoder on its way to fewer key/value heads, one layer after the other. */
import type { Gpu } from "../../gpu/device.ts";
import { Owned } from "../../gpu/owned.ts";
import type { Projection } from "../../layer/attention_weights.ts";
import { mergeKvHeads, type MergeReport } from "../../layer/merging/merge_kv_heads.ts";
import type { HostTensor, Tensor } from "../../tensor/tensor.ts";
import type { DecoderSource } from "../decoder_source.ts";
import { attentionWeights, projectionWeights, type WeightReader } from "../layer_weights.ts";
import { Uploads } from "../uploads.ts";
import type { WeightData } from "../weights.ts";
import { BlockRun, RUN } from "./block_run.ts";
import { refitDown } from "./refit_down.ts";

/** The shares that merging one layer of a decoder kept, and the errors that are left. */
export interface LayerMergeReport extends MergeReport {
  /** Square of what the residual stream is off by behind the layer, over its own square. */
  drift: number;
}

/** Tensors of a calibration, on the device. */
export interface MergeTensors {
  /** The residual stream of the decoder as it was [sequences, seqLen, dim]. */
  before: Tensor;
  /** That of the merged decoder. */
  after: Tensor;
  /** A layer's inputs, or its sum. */
  rows: Tensor;
  /** The inside of its feed-forward layer [sequences, seqLen, hiddenDim]. */
  inside: Tensor;
}

export class DecoderMerge {
  /** The decoder as far as it is merged. */
  readonly merged: DecoderSource;
  readonly #gpu: Gpu;
  readonly #source: DecoderSource;
  readonly #rounds: number;
  readonly #tensors: MergeTensors;
  readonly #weights = new Map<string, WeightData>();

  constructor(
    gpu: Gpu,
    source: DecoderSource,
    { kvHeads, rounds }: { kvHeads: number; rounds: number },
    tensors: MergeTensors,
  ) {
    const { spec, weights } = source;
    this.merged = {
      spec: { ...spec, numKvHeads: kvHeads },
      weights: {
        has: (name) => weights.has(name),
        read: async (name) => this.#weights.get(name) ?? await weights.read(name),
      },
    };
    this.#gpu = gpu;
    this.#source = source;
    this.#rounds = rounds;
    this.#tensors = tensors;
  }

  /** Merges a layer, and takes both residual streams through it. */
  async layer(layer: number): Promise<LayerMergeReport> {
    const { before, after, rows } = this.#tensors;
    const missing = difference(await before.download(), await after.download());
    await this.#normalise(layer, after, rows);
    const seen = await rows.download();
    await this.#withBlock(
      this.#source,
      layer,
      (block) => block.run(before, { attentionInput: rows, h: before }),
    );
    const x = await rows.download();
    const report = await this.#mergeAttention(layer, { x, seen, missing });
    const wanted = await before.download();
    if (this.#rounds > 0) await this.#refitDown(layer, wanted);
    await this.#withBlock(this.merged, layer, (block) => block.run(after, { h: after }));
    const drift = squareOf(difference(wanted, await after.download())) / squareOf(wanted);
    return { ...report, drift };
  }

  async #mergeAttention(
    layer: number,
    { x, seen, missing }: Record<"x" | "seen" | "missing", Float32Array>,
  ): Promise<MergeReport> {
    const { spec, weights } = this.#source;
    const { numHeads, numKvHeads, headDim, scale, alibiSlopes, norm } = spec;
    const { rope, window } = spec.layers[layer];
    const name = `layers.${layer}`;
    const { shape } = this.#tensors.before;
    // An output that is normalised before it is added cannot make up for the layers before.
    const isAdded = !weights.has(`${name}.postAttentionNorm.weight`);
    const merge = mergeKvHeads(
      await attentionWeights(this.#reader(), name),
      { data: x, shape },
      {
        ...{ numHeads, headDim, rope, scale, window, alibiSlopes, normEps: norm.eps },
        ...{ from: numKvHeads, to: this.merged.spec.numKvHeads, rounds: this.#rounds },
        seen: { data: seen, shape },
        missing: isAdded ? { data: missing, shape } : undefined,
      },
    );
    for (const part of ["q", "k", "v", "o"] as const) {
      this.#keep(`${name}.${part}`, merge.weights[part]);
    }
    return merge.report;
  }

  /** Refits what leaves the feed-forward layer, unless a norm stands behind it. */
  async #refitDown(layer: number, wanted: Float32Array): Promise<void> {
    const { after, rows, inside } = this.#tensors;
    const name = `layers.${layer}`;
    if (this.#source.weights.has(`${name}.postMlpNorm.weight`)) return;
    await this.#withBlock(this.merged, layer, (block) => block.run(after, { h: rows, inside }));
    const down = await projectionWeights(this.#reader(), `${name}.down`);
    const errors = difference(wanted, await rows.download());
    this.#keep(`${name}.down`, refitDown(down, await inside.download(), errors));
  }

  /** Normalises a residual stream as the attention of a layer reads it. */
  async #normalise(layer: number, stream: Tensor, rows: Tensor): Promise<void> {
    const { spec } = this.#source;
    const [sequences, seqLen] = stream.shape;
    await Owned.use(async (owned) => {
      const uploads = new Uploads(RUN, this.#gpu, owned, this.#source);
      const norm = await uploads.norm(`layers.${layer}.attentionNorm`, spec.norm);
      const buffers = { x: stream.buffer, y: rows.buffer };
      const work = norm.bind(buffers, sequences * seqLen);
      await this.#gpu.guard(RUN, () => {
        const encoder = this.#gpu.device.createCommandEncoder();
        work.encode(encoder);
        this.#gpu.device.queue.submit([encoder.finish()]);
      });
    });
  }

  /** Uses a layer's block, and frees it. */
  async #withBlock<Value>(
    source: DecoderSource,
    layer: number,
    use: (block: BlockRun) => Promise<Value>,
  ): Promise<Value> {
    const [, seqLen] = this.#tensors.before.shape;
    return await Owned.use(async (owned) =>
      await use(owned.keep(await BlockRun.create(this.#gpu, source, { layer, seqLen })))
    );
  }

  #reader(): WeightReader {
    return new Uploads(RUN, this.#gpu, new Owned(), this.#source);
  }

  #keep(name: string, { weight, bias }: Projection): void {
    const float32 = ({ data, shape }: HostTensor) => ({ data: Float32Array.from(data), shape });
    this.#weights.set(`${name}.weight`, float32(weight));
    if (bias) this.#weights.set(`${name}.bias`, float32(bias));
  }
}

function difference(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value - b[i]);
}

function squareOf(numbers: Float32Array): number {
  return numbers.reduce((sum, number) => sum + number * number, 0);
}
