/** Decoders as GGUF files, by the names that llama.cpp has for their families. */
import { sentence } from "../../src/base/check.ts";
import { joinQkv } from "../../src/layer/qkv_weights.ts";
import type { DecoderSource } from "../../src/model/decoder_source.ts";
import type { DecoderSpec } from "../../src/model/spec.ts";
import type { DecoderWeights } from "../../src/model/weights.ts";
import type { Gguf, GgufTensor, GgufValue } from "./gguf.ts";

const WRITE = "write a GGUF file";

/** A family of llama.cpp, and what it assumes of a decoder without a word in the file. */
interface Family {
  /** `general.architecture` */
  name: string;
  /** Its name of each component, "N" for the layer. */
  tensors: Readonly<Record<string, string>>;
  /** Metadata beside the sizes, behind the name of the family. */
  metadata: (spec: DecoderSpec) => Record<string, GgufValue>;
  isOf: (spec: DecoderSpec, weights: DecoderWeights) => boolean;
}

const COMMON = {
  embedding: "token_embd",
  "layers.N.attentionNorm": "blk.N.attn_norm",
  "layers.N.o": "blk.N.attn_output",
  "layers.N.mlpNorm": "blk.N.ffn_norm",
  "layers.N.up": "blk.N.ffn_up",
  "layers.N.down": "blk.N.ffn_down",
  finalNorm: "output_norm",
  classifier: "output",
};
const SEPARATE = {
  ...COMMON,
  "layers.N.q": "blk.N.attn_q",
  "layers.N.k": "blk.N.attn_k",
  "layers.N.v": "blk.N.attn_v",
  "layers.N.gate": "blk.N.ffn_gate",
};
const rms = ({ norm, headDim, layers }: DecoderSpec): Record<string, GgufValue> => ({
  "attention.layer_norm_rms_epsilon": { f32: norm.eps },
  "attention.key_length": { u32: headDim },
  "attention.value_length": { u32: headDim },
  "rope.dimension_count": { u32: headDim },
  "rope.freq_base": { f32: globalLayerOf(layers).rope?.base ?? 10_000 },
});
/** The first layer that sees all tokens, or else the first. */
function globalLayerOf(layers: DecoderSpec["layers"]): DecoderSpec["layers"][number] {
  return layers.find(({ window }) => window === undefined) ?? layers[0];
}

/** Layers of a Gemma 3 from one without a window to the next, and the base of those that have one. */
const [GEMMA_PERIOD, GEMMA_LOCAL_BASE] = [6, 10_000];

const FAMILIES: readonly Family[] = [
  {
    name: "llama",
    tensors: SEPARATE,
    metadata: rms,
    isOf: (spec, weights) =>
      spec.norm.kind === "rms" && spec.activation === "silu" && spec.isGated &&
      spec.embeddingScale === undefined && isUsualScale(spec) &&
      !weights.has("layers.0.qNorm.weight") &&
      spec.layers.every(({ rope, window }) =>
        isPlainRope(rope, "pairs") && window === undefined &&
        rope!.base === spec.layers[0].rope!.base
      ),
  },
  {
    name: "gemma3",
    tensors: {
      ...SEPARATE,
      "layers.N.qNorm": "blk.N.attn_q_norm",
      "layers.N.kNorm": "blk.N.attn_k_norm",
      "layers.N.postAttentionNorm": "blk.N.post_attention_norm",
      "layers.N.postMlpNorm": "blk.N.post_ffw_norm",
    },
    metadata: (spec) => ({
      ...rms(spec),
      "attention.sliding_window": { u32: spec.layers[0].window! },
      "attention.sliding_window_pattern": { u32: GEMMA_PERIOD },
      "rope.freq_base_swa": { f32: GEMMA_LOCAL_BASE },
    }),
    isOf: (spec, weights) =>
      spec.norm.kind === "rms" && spec.activation === "geluTanh" && spec.isGated &&
      spec.embeddingScale === Math.sqrt(spec.dim) && isUsualScale(spec) &&
      weights.has("layers.0.qNorm.weight") &&
      spec.layers.every(({ rope, window }, layer) => {
        const isFull = layer % GEMMA_PERIOD === GEMMA_PERIOD - 1;
        return isPlainRope(rope, "halves") &&
          (isFull
            ? window === undefined
            : window === spec.layers[0].window && (rope!.base ?? 10_000) === GEMMA_LOCAL_BASE);
      }),
  },
  {
    name: "starcoder",
    tensors: { ...COMMON, positions: "position_embd", "layers.N.qkv": "blk.N.attn_qkv" },
    metadata: ({ norm }) => ({ "attention.layer_norm_epsilon": { f32: norm.eps } }),
    isOf: (spec, weights) =>
      spec.norm.kind === "layer" && spec.activation === "geluTanh" && !spec.isGated &&
      spec.numHeads * spec.headDim === spec.dim && isUsualScale(spec) &&
      ["positions.weight", "layers.0.q.bias"].every(weights.has) &&
      spec.layers.every(({ rope, window }) => rope === undefined && window === undefined),
  },
];

function isPlainRope(rope: DecoderSpec["layers"][number]["rope"], style: "pairs" | "halves") {
  if (rope === undefined || (rope.style ?? "halves") !== style) return false;
  const { dims, firstDim, frequencies, attentionFactor } = rope;
  return [dims, firstDim, frequencies, attentionFactor].every((value) => value === undefined);
}

function isUsualScale({ scale, headDim, isParallel, alibiSlopes }: DecoderSpec): boolean {
  const usual = 1 / Math.sqrt(headDim);
  return Math.abs((scale ?? usual) - usual) < 1e-9 && !isParallel && !alibiSlopes;
}

/** The text of a token in the file's vocabulary: those of several tokens can be taken apart again. */
const pieceOf = (token: number) => `t${token};`;

/** The text of tokens. */
export function textOf(tokens: readonly number[]): string {
  return tokens.map(pieceOf).join("");
}

/** The tokens of a text. */
export function tokensOf(text: string): number[] {
  return [...text.matchAll(/t(\d+);/g)].map(([, token]) => Number(token));
}

/**
 * The file of a decoder.
 *
 * @throws {RangeError} If it is of none of the families that are written here.
 */
export async function ggufDecoder({ spec, weights }: DecoderSource): Promise<Gguf> {
  const family = FAMILIES.find(({ isOf }) => isOf(spec, weights));
  if (!family) {
    const rule = `the decoder must be one of ${FAMILIES.map(({ name }) => name).join(", ")}`;
    const { norm, activation, isGated, layers } = spec;
    throw new RangeError(sentence(WRITE, rule, { norm: norm.kind, activation, isGated, layers }));
  }
  const own = Object.entries({ ...sizes(spec), ...family.metadata(spec) })
    .map(([key, value]) => [`${family.name}.${key}`, value]);
  return {
    metadata: {
      "general.architecture": { string: family.name },
      ...Object.fromEntries(own),
      ...vocabulary(spec.vocabSize),
    },
    tensors: await tensorsOf(family, spec, weights),
  };
}

function sizes(
  { contextLen, dim, hiddenDim, layers, numHeads, numKvHeads }: DecoderSpec,
): Record<string, GgufValue> {
  return {
    context_length: { u32: contextLen },
    embedding_length: { u32: dim },
    feed_forward_length: { u32: hiddenDim },
    block_count: { u32: layers.length },
    "attention.head_count": { u32: numHeads },
    "attention.head_count_kv": { u32: numKvHeads },
  };
}

/** A vocabulary of numbers, by the one kind of tokenizer in which no token begins or ends a text. */
function vocabulary(size: number): Record<string, GgufValue> {
  const tokens = Array.from({ length: size }, (_, token) => token);
  return {
    "tokenizer.ggml.model": { string: "rwkv" },
    "tokenizer.ggml.tokens": { strings: tokens.map(pieceOf) },
    "tokenizer.ggml.token_type": { i32s: tokens.map(() => 1) },
    "tokenizer.ggml.add_bos_token": { bool: false },
  };
}

async function tensorsOf(
  { tensors }: Family,
  spec: DecoderSpec,
  weights: DecoderWeights,
): Promise<GgufTensor[]> {
  const written: GgufTensor[] = [];
  const write = async (component: string, name: string) => {
    for (const kind of ["weight", "bias"]) {
      const tensor = component.endsWith(".qkv")
        ? await joined(spec, weights, component.replace(/qkv$/, ""), kind)
        : await readIfAny(weights, `${component}.${kind}`);
      if (tensor) written.push({ name: `${name}.${kind}`, ...tensor });
    }
  };
  for (const [component, name] of Object.entries(tensors)) {
    if (!component.includes(".N.")) await write(component, name);
    else {
      for (let layer = 0; layer < spec.layers.length; layer++) {
        const [of, to] = [component, name].map((text) => text.replace(".N.", `.${layer}.`));
        await write(of, to);
      }
    }
  }
  return written;
}

type Weight = Pick<GgufTensor, "shape" | "data">;

async function readIfAny(weights: DecoderWeights, name: string): Promise<Weight | undefined> {
  if (!weights.has(name)) return undefined;
  const { data, shape } = await weights.read(name);
  return { data: Float32Array.from(data), shape };
}

async function joined(
  spec: DecoderSpec,
  weights: DecoderWeights,
  layer: string,
  kind: string,
): Promise<Weight> {
  const part = async (component: string) =>
    (await weights.read(`${layer}${component}.${kind}`)).data;
  const parts = { q: await part("q"), k: await part("k"), v: await part("v") };
  const data = joinQkv(parts, { ...spec, arrangement: "concatenated" });
  const rows = (spec.numHeads + 2 * spec.numKvHeads) * spec.headDim;
  return { data, shape: kind === "bias" ? [rows] : [rows, data.length / rows] };
}
