// sink_logits: beside the keys of a row, a learned score without a value takes its share of the weights.
fn withSink(row: u32, state: SoftmaxState) -> SoftmaxState {
  return mergeStates(state, SoftmaxState(perHead[headOf(row)].y, 1.0));
}
