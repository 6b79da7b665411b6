// weights_broadcast: the weights of all rows for a column, loaded by SHARERS neighbours and handed round: see
// queries_broadcast.
fn weightsAt(rowGroup: u32, lane: u32, column: u32) -> PerRow {
  var held: array<f32, ROW_LOADS>;
  /*unroll*/ for (var i = 0u; i < ROW_LOADS; i++) {
    held[i] = weights[rowGroup][column][min(i * SHARERS + lane % SHARERS, ROWS - 1u)];
  }
  var w: PerRow;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    w[i] = subgroupBroadcast(held[i / SHARERS], i % SHARERS);
  }
  return w;
}

// There is one strip. Said as a constant, so that compilers see that all lanes broadcast at once.
fn stripOf(lane: u32) -> u32 {
  return 0u;
}
