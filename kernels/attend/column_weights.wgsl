// column_weights: an invocation comes by the weights of all its rows for COLUMNS columns.

// variant own: each invocation loads them itself, a strip of lanes every STRIPS-th group of columns.
//
// Needs tile, weights, COLUMNS, PerRow.
fn weightsFrom(rowGroup: u32, lane: u32, column: u32) -> array<PerRow, COLUMNS> {
  return weightsAt(rowGroup, column);
}

fn stripOf(lane: u32) -> u32 {
  return lane / VALUE_LANES;
}

// variant sharers: SHARERS neighbours load them and broadcast, as they do queries.
//
// Needs COLUMNS, PerRow, ROWS, SHARERS, WEIGHT_LOADS, weights.
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

// There is one strip. A constant tells compilers that all lanes broadcast at once.
fn stripOf(lane: u32) -> u32 {
  return 0u;
}

// variant broadcast: each of the LANES neighbours broadcasts that of its own column: a row group is a subgroup, or a part of one
// that has the workgroup for itself, and COLUMNS is LANES.
//
// Needs COLUMNS, LANES, PerRow, ROWS, weights.
fn weightsFrom(rowGroup: u32, lane: u32, column: u32) -> array<PerRow, COLUMNS> {
  let held = weights[column / LANES];
  var w: array<PerRow, COLUMNS>;
  /*unroll*/ for (var n = 0u; n < COLUMNS; n++) {
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      w[n][i] = subgroupBroadcast(held[i], n);
    }
  }
  return w;
}

fn stripOf(lane: u32) -> u32 {
  return 0u;
}
