// bias: a number for each query and key is added to their score; keys without one are masked.
//
//   s' = s + bias[b, n, i, key]
//
//   bias  [B, N, S, keys]  T  read  (axes before the last may be shared: params.bias.stride)
//
// Needs context, masked, params, T.
var<storage, read> bias: array<T>;

fn withBias(s: f32, row: u32, context: Context, column: u32) -> f32 {
  let key = tokenAt(context, column);
  if (key >= params.bias.keys) {
    return MASKED;
  }
  let added = f32(bias[rowOffset(params.bias, row) + key]);
  // A masked score is exactly MASKED, even where s is Inf or NaN.
  return select(s + added, MASKED, isMasked(added));
}
