// softmax_state: the running maximum and denominator of a softmax, and how two of them merge.
//
//   m = max(a.m, b.m)    d = a.d exp(a.m - m) + b.d exp(b.m - m)
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
