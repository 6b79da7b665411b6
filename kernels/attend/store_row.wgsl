// store_row: the sums of a row and their softmax state leave the kernel.

// variant output: the state of a whole context gives the output. A row that sees nothing gives 0.
//
//   o = sum / d
//
//   o  [B, S, N, VALUE_DIM]  T  write  (or [B, N, S, VALUE_DIM]: qStride)
//
// Needs lse, pack, params, sink, state, PACKS, Pack.
var<storage, read_write> o: array<Pack>;

fn storeRow(row: u32, slice: u32, pack: u32, sum: Wide, state: SoftmaxState) {
  let whole = settled(withSink(row, state));
  let share = select(exp(state.m - whole.m) / whole.d, 0.0, isEmpty(whole));
  o[queryRow(batchOf(row), headOf(row), tokenOf(row)) * PACKS + pack] = Pack(sum * share);
  if (pack == 0u) {
    storeLse(row, whole);
  }
}

// variant partial: the state of a slice is kept, to be merged with those of the others.
//
//   partials  [slices, B, N, S, VALUE_DIM]  f32           write  o, not yet divided by d
//   states    [slices, B, N, S]             SoftmaxState  write
//
// Needs pack, state, PACKS, params.
var<storage, read_write> partials: array<Wide>;
var<storage, read_write> states: array<SoftmaxState>;

fn storeRow(row: u32, slice: u32, pack: u32, o: Wide, state: SoftmaxState) {
  let index = slice * params.numRows + row;
  partials[index * PACKS + pack] = o;
  if (pack == 0u) {
    states[index] = state;
  }
}
