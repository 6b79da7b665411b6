// weights_loaded: the weights of all rows for COLUMNS columns, loaded by each invocation itself.
fn weightsFrom(rowGroup: u32, lane: u32, column: u32) -> array<PerRow, COLUMNS> {
  return weights[rowGroup][column / COLUMNS];
}

fn stripOf(lane: u32) -> u32 {
  return lane / VALUE_LANES;
}
