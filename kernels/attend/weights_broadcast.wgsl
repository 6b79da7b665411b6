// weights_broadcast: the weights of all rows for COLUMNS columns, loaded by SHARERS neighbours and handed round: see
// queries_broadcast.
fn weightsFrom(rowGroup: u32, lane: u32, column: u32) -> array<PerRow, COLUMNS> {
  var held: array<f32, WEIGHT_LOADS>;
  /*unroll*/ for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let index = min(i * SHARERS + lane % SHARERS, COLUMNS * ROWS - 1u);
    held[i] = weights[rowGroup][column / COLUMNS][index / ROWS][index % ROWS];
  }
  var w: array<PerRow, COLUMNS>;
  /*unroll*/ for (var n = 0u; n < COLUMNS; n++) {
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      w[n][i] = subgroupBroadcast(held[(n * ROWS + i) / SHARERS], (n * ROWS + i) % SHARERS);
    }
  }
  return w;
}

// There is one strip. Said as a constant, so that compilers see that all lanes broadcast at once.
fn stripOf(lane: u32) -> u32 {
  return 0u;
}
