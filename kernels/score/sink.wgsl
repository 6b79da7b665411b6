// sink: the scores, beside those of its keys, that share the weights of a row.

// variant logits: one learned score without a value (gpt-oss, arXiv 2508.10925).
//
// Needs params, per_head, state.
fn withSink(row: u32, state: SoftmaxState) -> SoftmaxState {
  return mergeStates(state, SoftmaxState(perHead[headOf(row)].y, 1.0));
}

// variant in_weights: weights have divided by it already, so that a whole is 1.
//
// Needs state.
fn withSink(row: u32, state: SoftmaxState) -> SoftmaxState {
  return SoftmaxState(0.0, 1.0);
}

// variant none: no score.
//
// Needs state.
fn withSink(row: u32, state: SoftmaxState) -> SoftmaxState {
  return state;
}
