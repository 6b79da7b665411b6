// sum_values.own: each lane sums up whole values, of the columns that it has scored.
//
//   acc[h] += sum over c of w[c] v[c, h]
//
// Needs columns, pack, values, KEYS, LANES, LOAD_PACKS, ROWS, Sums, VALUE_LOADS, weights.
fn addValues(
  acc: ptr<function, Sums>,
  columns: Columns,
  start: u32,
  count: u32,
  rowGroup: u32,
  lane: u32,
  maySkip: bool,
) {
  /*unroll*/ for (var n = 0u; n < KEYS; n++) {
    // Columns past the end have no weight.
    let value = valueOfColumn(columns, start + lane + LANES * n);
    /*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
      let values = valuesAt(value, j);
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        /*unroll*/ for (var i = 0u; i < ROWS; i++) {
          // A value that the row does not see may be Inf or NaN, and 0 x Inf is NaN.
          let seenX = select(values[p], Wide(), maySkip && weights[n][i] == 0.0);
          (*acc)[j * LOAD_PACKS + p][i] = fma(Wide(weights[n][i]), seenX, (*acc)[j * LOAD_PACKS + p][i]);
        }
      }
    }
  }
}

fn stepOfWeight(value: u32) -> f32 {
  return valueStep(value);
}

fn stripOf(lane: u32) -> u32 {
  return lane;
}
