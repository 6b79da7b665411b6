// weights_loaded: the weights of all rows for a column, loaded by each invocation itself.
fn weightsAt(rowGroup: u32, lane: u32, column: u32) -> PerRow {
  return weights[rowGroup][column];
}

fn stripOf(lane: u32) -> u32 {
  return lane / VALUE_LANES;
}
