// state: the running maximum and denominator of a softmax, and the merge of two of them (Milakov and Gimelshein 2018, arXiv
// 1805.02867).
//
//   m = max(a.m, b.m)    d = a.d exp(a.m - m) + b.d exp(b.m - m)
//
// Needs masked.
struct SoftmaxState {
  m: f32,
  d: f32,
}

fn emptyState() -> SoftmaxState {
  return SoftmaxState(MASKED, 0.0);
}

fn mergeStates(a: SoftmaxState, b: SoftmaxState) -> SoftmaxState {
  let m = max(a.m, b.m);
  return SoftmaxState(m, a.d * exp(a.m - m) + b.d * exp(b.m - m));
}

// Whether nothing was seen. Bits say so, here and below, as compilers may let a comparison with NaN be either.
fn isEmpty(state: SoftmaxState) -> bool {
  return (bitcast<u32>(state.d) & 0x7fffffffu) == 0u;
}

// The state of a whole row: NaN where its sum is not finite, as a score is NaN or infinite. WGSL lets exponentials of NaN be
// infinite, and logarithms of NaN be numbers.
fn settled(state: SoftmaxState) -> SoftmaxState {
  let isFinite = (bitcast<u32>(state.d) & 0x7fffffffu) < 0x7f800000u;
  let bits = select(vec2u(0x7fc00000u), bitcast<vec2u>(vec2f(state.m, state.d)), isFinite);
  return SoftmaxState(bitcast<f32>(bits.x), bitcast<f32>(bits.y));
}
