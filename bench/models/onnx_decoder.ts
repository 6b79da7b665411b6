/**
 * Decoders as ONNX models, as exporters write them: `GroupQueryAttention` over caches that are appended to in place. The
 * output is the likeliest next token, so that no logits leave the device.
 */
import { sentence } from "../../src/base/check.ts";
import { fillInRope } from "../../src/cache/rope_kernel.ts";
import { withRotaryHalves } from "../../src/checkpoints/writer/rotary_halves.ts";
import { joinQkv } from "../../src/layer/qkv_weights.ts";
import type { DecoderSource } from "../../src/model/decoder_source.ts";
import type { DecoderSpec } from "../../src/model/spec.ts";
import type { DecoderWeights } from "../../src/model/weights.ts";
import type { Graph, Value } from "../peers/onnx_model.ts";
import { GraphBuilder, type Tensor } from "./graph_builder.ts";

const EXPORT = "write an ONNX model";
const MICROSOFT = "com.microsoft";
const VERSIONS = { "": 21, [MICROSOFT]: 1 };
/** `TensorProto.INT32`, to cast to. */
const INT32 = 6;
/** What the sizes of heads that `GroupQueryAttention` rotates are multiples of. */
const ROTATED_SIZE = 16;

/** Names of what goes in and comes out. */
export const NAMES = {
  /** int32 [batch, tokens] */
  tokens: "tokens",
  /** int32 [tokens]; only where positions are learned. */
  positions: "positions",
  /** Position of the first new token: int64 [1]; only where heads are rotated before attention. */
  offset: "offset",
  /** Position of the last token of each sequence: int32 [batch]. */
  lastPositions: "last_positions",
  /** Tokens of the longest sequence, the new ones included: int32 [1]. */
  length: "length",
  /** The likeliest token behind each sequence: int32 [batch, 1]. */
  next: "next",
} as const;

/** A cache of one layer [batch, numKvHeads, capacity, headDim]: one name before the new tokens, one behind them. */
export interface CacheNames {
  past: string;
  present: string;
}

/** The caches of a layer: keys, then values. */
export function cachesOf(layer: number): CacheNames[] {
  return ["key", "value"].map((kind) => ({
    past: `past.${layer}.${kind}`,
    present: `present.${layer}.${kind}`,
  }));
}

/**
 * The model of a decoder.
 *
 * @param source Its shape and weights.
 * @param capacity Tokens of the longest sequence.
 * @throws {RangeError} If these operators cannot say the decoder's shape.
 */
export async function onnxDecoder(source: DecoderSource, capacity: number): Promise<Graph> {
  checkShape(source.spec);
  return await new Exporter(withRotaryHalves(source), capacity).export();
}

function checkShape({ isParallel, alibiSlopes, headDim, layers }: DecoderSpec): void {
  if (isParallel || alibiSlopes) {
    const rule = "layers must be sequential, with rotary or learned positions";
    throw new RangeError(sentence(EXPORT, rule, { isParallel, alibiSlopes }));
  }
  for (const { rope } of layers) {
    if (!rope) continue;
    const { dims, firstDim } = fillInRope(EXPORT, rope, headDim);
    if (dims === headDim) continue;
    throw new RangeError(sentence(EXPORT, "rope must rotate whole heads", { dims, firstDim }));
  }
}

class Exporter {
  readonly #spec: DecoderSpec;
  readonly #weights: DecoderWeights;
  readonly #capacity: number;
  readonly #graph = new GraphBuilder();

  constructor({ spec, weights }: DecoderSource, capacity: number) {
    this.#spec = spec;
    this.#weights = weights;
    this.#capacity = capacity;
  }

  async export(): Promise<Graph> {
    const { layers, numKvHeads, headDim } = this.#spec;
    let h = await this.#embed();
    for (let layer = 0; layer < layers.length; layer++) h = await this.#layer(layer, h);
    await this.#choose(h);
    const caches = layers.flatMap((_, layer) => cachesOf(layer));
    const cache = (name: string): Value => ({
      ...{ name, type: "float32" },
      shape: ["batch", numKvHeads, this.#capacity, headDim],
    });
    const int32 = (name: string, shape: Value["shape"]): Value => ({ name, type: "int32", shape });
    return {
      name: "decoder",
      versions: VERSIONS,
      nodes: this.#graph.nodes,
      initializers: this.#graph.initializers,
      inputs: [
        int32(NAMES.tokens, ["batch", "tokens"]),
        ...(this.#hasPositions ? [int32(NAMES.positions, ["tokens"])] : []),
        ...(this.#rotatesBefore
          ? [{ name: NAMES.offset, type: "int64" as const, shape: [1] }]
          : []),
        int32(NAMES.lastPositions, ["batch"]),
        int32(NAMES.length, [1]),
        ...caches.map(({ past }) => cache(past)),
      ],
      outputs: [int32(NAMES.next, ["batch", 1]), ...caches.map(({ present }) => cache(present))],
    };
  }

  get #hasPositions(): boolean {
    return this.#weights.has("positions.weight");
  }

  /** Whether heads are rotated by an operator of their own. */
  get #rotatesBefore(): boolean {
    const { layers, headDim } = this.#spec;
    return headDim % ROTATED_SIZE !== 0 && layers.some(({ rope }) => rope);
  }

  async #embed(): Promise<Tensor> {
    const { embeddingScale } = this.#spec;
    const graph = this.#graph;
    let h = graph.add("Gather", [await this.#weight("embedding.weight"), { name: NAMES.tokens }]);
    if (embeddingScale !== undefined) {
      h = graph.add("Mul", [h, graph.floats("embedding.scale", [], [embeddingScale])]);
    }
    if (!this.#hasPositions) return h;
    const rows = [await this.#weight("positions.weight"), { name: NAMES.positions }];
    return graph.add("Add", [h, graph.add("Gather", rows)]);
  }

  async #layer(layer: number, h: Tensor): Promise<Tensor> {
    const name = (component: string) => `layers.${layer}.${component}`;
    const attended = await this.#attend(layer, await this.#norm(name("attentionNorm"), h));
    const o = await this.#normIfAny(name("postAttentionNorm"), attended);
    const between = this.#graph.add("Add", [h, o]);
    const fed = await this.#feedForward(name, await this.#norm(name("mlpNorm"), between));
    return this.#graph.add("Add", [between, await this.#normIfAny(name("postMlpNorm"), fed)]);
  }

  async #attend(layer: number, x: Tensor): Promise<Tensor> {
    const { numHeads, numKvHeads, headDim, scale, layers } = this.#spec;
    const { rope, window } = layers[layer];
    const name = (component: string) => `layers.${layer}.${component}`;
    const caches = cachesOf(layer);
    const o = { name: name("attention") };
    const rotates = rope !== undefined && !this.#rotatesBefore;
    const inputs = [
      ...await this.#queriesKeysValues(layer, x),
      ...caches.map(({ past }) => ({ name: past })),
      ...[{ name: NAMES.lastPositions }, { name: NAMES.length }],
      ...(rotates ? this.#rotations(layer) : []),
    ];
    this.#graph.nodes.push({
      op: "GroupQueryAttention",
      domain: MICROSOFT,
      integers: {
        ...{ num_heads: numHeads, kv_num_heads: numKvHeads, do_rotary: Number(rotates) },
        ...(window !== undefined && { local_window_size: window }),
      },
      floats: { scale: scale ?? 1 / Math.sqrt(headDim) },
      inputs,
      outputs: [o, ...caches.map(({ present }) => ({ name: present }))],
    });
    return await this.#linear(name("o"), o);
  }

  /** Three projections where heads are changed before attention, else one whose output the operator takes apart. */
  async #queriesKeysValues(layer: number, x: Tensor): Promise<(Tensor | undefined)[]> {
    const { dim, numHeads, numKvHeads, headDim, layers } = this.#spec;
    const name = (component: string) => `layers.${layer}.${component}`;
    if (this.#weights.has(name("qNorm.weight")) || this.#rotatesBefore) {
      const head = async (component: "q" | "k") => {
        const projected = await this.#linear(name(component), x);
        const normed = await this.#headNormIfAny(name(`${component}Norm`), projected);
        return this.#rotatesBefore && layers[layer].rope ? this.#rotated(layer, normed) : normed;
      };
      return [await head("q"), await head("k"), await this.#linear(name("v"), x)];
    }
    const joined = async (kind: "weight" | "bias") => {
      const part = async (component: string) =>
        (await this.#weights.read(name(`${component}.${kind}`))).data;
      const parts = { q: await part("q"), k: await part("k"), v: await part("v") };
      return joinQkv(parts, { ...this.#spec, arrangement: "concatenated" });
    };
    const shape = [(numHeads + 2 * numKvHeads) * headDim, dim];
    const bias = this.#weights.has(name("q.bias")) ? await joined("bias") : undefined;
    const matrix = { data: await joined("weight"), shape };
    return [this.#graph.project(name("qkv"), x, matrix, bias), undefined, undefined];
  }

  /** Heads [batch, tokens, heads x headDim] at their positions. */
  #rotated(layer: number, heads: Tensor): Tensor {
    const inputs = [heads, { name: NAMES.offset }, ...this.#rotations(layer)];
    return this.#graph.add("RotaryEmbedding", inputs, { domain: MICROSOFT });
  }

  async #feedForward(name: (component: string) => string, x: Tensor): Promise<Tensor> {
    const up = await this.#linear(name("up"), x);
    const inside = this.#spec.isGated
      ? this.#graph.add("Mul", [this.#activate(await this.#linear(name("gate"), x)), up])
      : this.#activate(up);
    return await this.#linear(name("down"), inside);
  }

  #activate(x: Tensor): Tensor {
    switch (this.#spec.activation) {
      case "silu":
        return this.#graph.add("Mul", [x, this.#graph.add("Sigmoid", [x])]);
      case "gelu":
        return this.#graph.add("Gelu", [x], { domain: MICROSOFT });
      case "geluTanh":
        return this.#graph.add("FastGelu", [x], { domain: MICROSOFT });
    }
  }

  /** The likeliest token behind the last one. */
  async #choose(h: Tensor): Promise<void> {
    const graph = this.#graph;
    const last = graph.indices("last", [-1]);
    const newest = graph.add("Gather", [h, last], { integers: { axis: 1 } });
    const classifier = this.#weights.has("classifier.weight") ? "classifier" : "embedding";
    const matrix = await this.#weights.read(`${classifier}.weight`);
    const logits = graph.project("classifier", await this.#norm("finalNorm", newest), matrix);
    const likeliest = graph.add("ArgMax", [logits], { integers: { axis: -1, keepdims: 0 } });
    graph.add("Cast", [likeliest], {
      ...{ integers: { to: INT32 }, outputs: [{ name: NAMES.next }] },
    });
  }

  /** Cosines and sines of all positions, shared by layers that rotate alike. */
  #rotations(layer: number): Tensor[] {
    const { layers, headDim } = this.#spec;
    const ropes = layers.map(({ rope }) => rope && fillInRope(EXPORT, rope, headDim));
    const { frequencies, attentionFactor } = ropes[layer]!;
    const [own, ...others] = [ropes[layer], ...ropes].map((rope) => JSON.stringify(rope));
    const first = others.indexOf(own);
    const pairs = frequencies.length;
    return Object.entries({ cosines: Math.cos, sines: Math.sin }).map(([name, of]) => {
      const table = Array.from(
        { length: this.#capacity * pairs },
        (_, at) => attentionFactor * of(Math.floor(at / pairs) * frequencies[at % pairs]),
      );
      return this.#graph.floats(`layers.${first}.${name}`, [this.#capacity, pairs], table);
    });
  }

  async #norm(name: string, x: Tensor): Promise<Tensor> {
    const bias = `${name}.bias`;
    const inputs = [x, await this.#weight(`${name}.weight`)];
    if (this.#weights.has(bias)) inputs.push(await this.#weight(bias));
    return this.#normalised(this.#spec.norm.kind, inputs);
  }

  async #normIfAny(name: string, x: Tensor): Promise<Tensor> {
    return this.#weights.has(`${name}.weight`) ? await this.#norm(name, x) : x;
  }

  /** The norm of each head of [batch, tokens, heads x headDim]. */
  async #headNormIfAny(name: string, x: Tensor): Promise<Tensor> {
    if (!this.#weights.has(`${name}.weight`)) return x;
    const heads = this.#graph.reshape(x, "by heads", [0, 0, -1, this.#spec.headDim]);
    const normed = this.#normalised("rms", [heads, await this.#weight(`${name}.weight`)]);
    return this.#graph.reshape(normed, "by tokens", [0, 0, -1]);
  }

  #normalised(kind: DecoderSpec["norm"]["kind"], inputs: readonly Tensor[]): Tensor {
    const op = kind === "rms" ? "SimplifiedLayerNormalization" : "LayerNormalization";
    const { eps } = this.#spec.norm;
    return this.#graph.add(op, inputs, { integers: { axis: -1 }, floats: { epsilon: eps } });
  }

  async #linear(name: string, x: Tensor): Promise<Tensor> {
    const bias = `${name}.bias`;
    const added = this.#weights.has(bias) ? (await this.#weights.read(bias)).data : undefined;
    return this.#graph.project(name, x, await this.#weights.read(`${name}.weight`), added);
  }

  async #weight(name: string): Promise<Tensor> {
    const { data, shape } = await this.#weights.read(name);
    return this.#graph.floats(name, shape, data);
  }
}
