/** What the layers of a decoder share over sequences of one shape. */
import { Attention } from "../attend/attention.ts";
import { AttentionGradient } from "../attend/attention_gradient.ts";
import { once } from "../base/once.ts";
import { fillInRope, Rope } from "../cache/rope_kernel.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import { turnedBack } from "../layer/rope_gradient.ts";
import type { DecoderLayer, DecoderSpec } from "../model/spec.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Parameters } from "./parameters.ts";

/** Sequences at once, and tokens of each. */
export interface PassShape {
  batch: number;
  seqLen: number;
}

/** A decoder over sequences of one shape: sizes, weights, and the modules that are the same for layers that are alike. */
export class Pass {
  readonly gpu: Gpu;
  /** What is made for the pass. */
  readonly owned: Owned;
  readonly spec: DecoderSpec;
  readonly shape: PassShape;
  readonly parameters: Parameters;
  /** Tokens of each sequence, from which positions count: u32 [batch]. */
  readonly #lengths: Tensor;
  readonly #attentions = new Map<string, Promise<Attention>>();
  readonly #gradients = new Map<string, Promise<AttentionGradient>>();
  readonly #ropes = new Map<string, Promise<Rope>>();

  private constructor(
    gpu: Gpu,
    owned: Owned,
    spec: DecoderSpec,
    shape: PassShape,
    made: { parameters: Parameters; lengths: Tensor },
  ) {
    this.gpu = gpu;
    this.owned = owned;
    this.spec = spec;
    this.shape = shape;
    this.parameters = made.parameters;
    this.#lengths = made.lengths;
  }

  static async create(
    gpu: Gpu,
    owned: Owned,
    spec: DecoderSpec,
    shape: PassShape,
    parameters: Parameters,
  ): Promise<Pass> {
    const data = new Uint32Array(shape.batch).fill(shape.seqLen);
    const lengths = await Tensor.upload(gpu, { data, shape: [shape.batch] }, {
      ...{ dtype: "u32", label: "lengths" },
    });
    return new Pass(gpu, owned, spec, shape, { parameters, lengths: owned.keep(lengths) });
  }

  /** Tokens of all sequences. */
  get numTokens(): number {
    return this.shape.batch * this.shape.seqLen;
  }

  /** Allocates f32 tensors by their names. */
  async tensors<Name extends string>(
    shapes: Readonly<Record<Name, readonly number[]>>,
  ): Promise<Record<Name, Tensor>> {
    const made: Partial<Record<Name, Tensor>> = {};
    for (const [label, shape] of Object.entries(shapes) as [Name, readonly number[]][]) {
      made[label] = this.owned.keep(await Tensor.empty(this.gpu, shape, { label }));
    }
    return made as Record<Name, Tensor>;
  }

  /** The attention of a layer. */
  attention(layer: DecoderLayer): Promise<Attention> {
    const spec = { ...this.#attentionSpec(layer), outputs: ["lse"] } as const;
    return once(
      this.#attentions,
      `${layer.window}`,
      async () => this.owned.keep(await Attention.create(this.gpu, spec)),
    );
  }

  /** The gradient of the attention of a layer. */
  attentionGradient(layer: DecoderLayer): Promise<AttentionGradient> {
    return once(
      this.#gradients,
      `${layer.window}`,
      async () =>
        this.owned.keep(await AttentionGradient.create(this.gpu, this.#attentionSpec(layer))),
    );
  }

  /** Binds the rotation of queries or keys [batch, seqLen, heads, headDim] in place, or of their gradients back. */
  async rotation(
    { rope }: DecoderLayer,
    x: Tensor,
    direction: "forward" | "backward",
  ): Promise<BoundWork[]> {
    if (!rope) return [];
    const { headDim } = this.spec;
    const forward = fillInRope("train", rope, headDim);
    const filled = direction === "forward" ? forward : turnedBack(forward);
    const made = await once(
      this.#ropes,
      JSON.stringify(filled),
      () => Rope.create(this.gpu, this.owned, filled, { headDim, dtype: "f32" }),
    );
    const queries = {
      layout: "BSNH",
      ...this.shape,
      numHeads: x.shape[2],
      buffer: x.buffer,
    } as const;
    return [
      boundWork([
        made.bind({ ...queries, arrangement: "padded" }, { lengths: this.#lengths.buffer }),
      ]),
    ];
  }

  #attentionSpec({ window }: DecoderLayer) {
    const { numHeads, numKvHeads, headDim, scale, alibiSlopes } = this.spec;
    const { batch, seqLen } = this.shape;
    return {
      ...{ batch, seqLen, capacity: seqLen, numHeads, numKvHeads, headDim },
      ...{ scale, alibiSlopes, window },
    };
  }
}
