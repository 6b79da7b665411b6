// store_lse: the natural logarithm of a row's sum of exponentials, by which parts of a context are merged.
//
//   lse = m + log(d)
//
//   lse  [B, S, N]  f32  write  (or [B, N, S]: qStride)  MASKED for a row that sees nothing
var<storage, read_write> lse: array<f32>;

fn storeLse(row: u32, state: SoftmaxState) {
  let index = queryRow(batchOf(row), headOf(row), tokenOf(row));
  lse[index] = select(state.m + log(state.d), MASKED, state.d == 0.0);
}
