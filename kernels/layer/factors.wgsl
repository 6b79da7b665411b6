// factors: the rows of a tile of a product, and what multiplies pack after pack of one row of the second matrix.

// variant own: an invocation has rows of its own, or shares some by chance.
//
// Needs factor, ROWS, TILES, WORKGROUP, params.
fn firstRowOf(workgroupIndex: u32, invocation: u32) -> u32 {
  return (workgroupIndex * WORKGROUP + invocation) / TILES * ROWS;
}

fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<f32, ROWS> {
  var factors: array<f32, ROWS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    factors[r] = factorAt(min(firstRow + r, params.rows - 1u), k);
  }
  return factors;
}

// variant broadcast: a workgroup is a subgroup, or a part of one, whose invocations have the same rows, as WORKGROUP divides
// TILES: each loads FACTOR_LOADS factors and broadcasts them.
//
// Needs factor, FACTOR_LOADS, ROWS, TILES, WORKGROUP, params.
fn firstRowOf(workgroupIndex: u32, invocation: u32) -> u32 {
  return workgroupIndex / (TILES / WORKGROUP) * ROWS;
}

fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<f32, ROWS> {
  var loaded: array<f32, FACTOR_LOADS>;
  /*unroll*/ for (var i = 0u; i < FACTOR_LOADS; i++) {
    loaded[i] = factorAt(min(firstRow + i * WORKGROUP + invocation, params.rows - 1u), k);
  }
  var factors: array<f32, ROWS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    factors[r] = subgroupBroadcast(loaded[r / WORKGROUP], r % WORKGROUP);
  }
  return factors;
}
