// A model of safetensors that goes on as a test says: after each token comes one other, whatever was before.
import { safetensors } from "./checkpoint_files.ts";

const HEADS = 2;

/** Numbers at [row, column] in a matrix of zeros. */
function matrix(rows: number, columns: number, ones: readonly [row: number, column: number][]) {
  const data = new Float32Array(rows * columns);
  for (const [row, column] of ones) data[row * columns + column] = 1;
  return { data, shape: [rows, columns] };
}

/**
 * The files of a Llama of `vocabSize` rows, an even number. A token's embedding is a vector of its own, attention and
 * feed-forward add nothing, and the classifier finds what comes next; after a token that `next` leaves out comes token 0.
 */
export function chainFiles(
  vocabSize: number,
  next: Readonly<Record<number, number>>,
  config: Record<string, unknown> = {},
): Record<string, Uint8Array | string> {
  const dim = vocabSize;
  const ones = { data: new Float32Array(dim).fill(1), shape: [dim] };
  const nothing = matrix(dim, dim, []);
  const layer = "model.layers.0.";
  return {
    "config.json": JSON.stringify({
      ...{ model_type: "llama", vocab_size: vocabSize, hidden_size: dim, intermediate_size: dim },
      ...{ num_hidden_layers: 1, num_attention_heads: HEADS, num_key_value_heads: HEADS },
      ...{ max_position_embeddings: 64, ...config },
    }),
    "model.safetensors": safetensors({
      "model.embed_tokens.weight": matrix(
        dim,
        dim,
        Array.from({ length: dim }, (_, token) => [token, token]),
      ),
      ...Object.fromEntries(
        ["q_proj", "k_proj", "v_proj", "o_proj"].map((name) => [
          `${layer}self_attn.${name}.weight`,
          nothing,
        ]),
      ),
      ...Object.fromEntries(
        ["gate_proj", "up_proj", "down_proj"].map((name) => [
          `${layer}mlp.${name}.weight`,
          nothing,
        ]),
      ),
      [`${layer}input_layernorm.weight`]: ones,
      [`${layer}post_attention_layernorm.weight`]: ones,
      "model.norm.weight": ones,
      "lm_head.weight": matrix(
        vocabSize,
        dim,
        Array.from({ length: vocabSize }, (_, token) => [next[token] ?? 0, token]),
      ),
    }),
  };
}
