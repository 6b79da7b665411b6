// lse: the log-sum-exp of a row, by which attention over parts of a context is merged.

// variant stored: the log-sum-exp is an output.
//
//   lse = m + log(d)
//
//   lse  [B, S, N]  f32  write  (or [B, N, S]: qStride)  MASKED for a row that sees nothing
//
// Needs masked, params, state.
var<storage, read_write> lse: array<f32>;

fn storeLse(row: u32, state: SoftmaxState) {
  let index = queryRow(batchOf(row), headOf(row), tokenOf(row));
  lse[index] = select(state.m + log(state.d), MASKED, isEmpty(state));
}

// variant none: the log-sum-exp is not asked for.
//
// Needs state.
fn storeLse(row: u32, state: SoftmaxState) {
}
