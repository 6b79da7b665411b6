// store_output: the state of a whole context gives the output. A row that sees nothing gives 0.
//
//   o  [B, S, N, VALUE_DIM]  T  write  (or [B, N, S, VALUE_DIM]: qStride)
var<storage, read_write> o: array<Pack>;

fn storeRow(row: u32, slice: u32, pack: u32, sum: Wide, state: SoftmaxState) {
  let whole = settled(withSink(row, state));
  let share = select(exp(state.m - whole.m) / whole.d, 0.0, whole.d == 0.0);
  o[queryRow(batchOf(row), headOf(row), tokenOf(row)) * PACKS + pack] = Pack(sum * share);
  if (pack == 0u) {
    storeLse(row, whole);
  }
}
