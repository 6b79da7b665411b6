// score_bias: a number for each query and key is added; keys that have none are masked.
//
//   bias  [B, N, S, keys]  T  read  (axes before the last may be shared: params.bias.stride)
var<storage, read> bias: array<T>;

fn withBias(s: f32, row: u32, context: Context, column: u32) -> f32 {
  let key = tokenAt(context, column);
  if (key >= params.bias.keys) {
    return MASKED;
  }
  let added = f32(bias[rowOffset(params.bias, row) + key]);
  // What is masked is exactly MASKED, even where the score is infinite or NaN.
  return select(s + added, MASKED, added <= MASKED);
}
