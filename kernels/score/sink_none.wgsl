// sink_none: the weights of a row are shared among its keys alone.
fn withSink(row: u32, state: SoftmaxState) -> SoftmaxState {
  return state;
}
