// weights_loaded: the weights of all rows for COLUMNS columns of a strip, loaded by each invocation itself.
fn weightsAt(rowGroup: u32, lane: u32, column: u32) -> array<PerRow, COLUMNS> {
  var w: array<PerRow, COLUMNS>;
  /*unroll*/ for (var n = 0u; n < COLUMNS; n++) {
    w[n] = weights[rowGroup][column + n * STRIPS];
  }
  return w;
}

fn stripOf(lane: u32) -> u32 {
  return lane / VALUE_LANES;
}
