// store_output: the state of a whole context gives the output. A row that sees nothing gives 0.
//
//   o  [B, S, N, VALUE_DIM]  T  write  (or [B, N, S, VALUE_DIM]: qStride)
@group(0) @binding(5) var<storage, read_write> o: array<Pack>;

fn storeRow(row: u32, slice: u32, pack: u32, sum: Wide, state: SoftmaxState) {
  let batch = row / (params.numHeads * params.seqLen);
  let seen = select(1.0 / state.d, 0.0, state.d == 0.0);
  o[queryRow(batch, headOf(row), tokenOf(row)) * PACKS + pack] = Pack(sum * seen);
}
