// store_partial: the state of a slice, to be merged with those of the others.
//
//   partials  [slices, B, N, S, VALUE_DIM]  f32  write  o, not yet divided by d
//   states    [slices, B, N, S]                  write  m, d
var<storage, read_write> partials: array<Wide>;
var<storage, read_write> states: array<SoftmaxState>;

fn storeRow(row: u32, slice: u32, pack: u32, o: Wide, state: SoftmaxState) {
  let index = slice * params.numRows + row;
  partials[index * PACKS + pack] = o;
  if (pack == 0u) {
    states[index] = state;
  }
}
