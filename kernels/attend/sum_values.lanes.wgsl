// sum_values.lanes: each lane sums up its own loads of the values, of every STRIPS-th group of COLUMNS columns.
//
//   acc[h] += sum over c of w[c] v[c, h]
//
// The loads of a group are under way at once, and their weights lie side by side.
//
// Needs column_weights, columns, pack, tile, values, COLUMNS, LOAD_PACKS, PACKS, ROWS, STRIPS, Sums, VALUE_LOADS,
// stripOf.
fn addValues(
  acc: ptr<function, Sums>,
  columns: Columns,
  start: u32,
  count: u32,
  rowGroup: u32,
  lane: u32,
  maySkip: bool,
) {
  let firstLoad = lane % VALUE_LANES;
  for (var c = stripOf(lane) * COLUMNS; c < count; c += STRIPS * COLUMNS) {
    let w = weightsFrom(rowGroup, lane, c);
    /*unroll*/ for (var n = 0u; n < COLUMNS; n++) {
      // Columns past the end have no weight.
      let value = valueOfColumn(columns, start + c + n);
      /*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
        let values = valuesAt(value, min(firstLoad + j * VALUE_LANES, PACKS / LOAD_PACKS - 1u));
        /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
          /*unroll*/ for (var i = 0u; i < ROWS; i++) {
            // A value that the row does not see may be Inf or NaN, and 0 x Inf is NaN.
            let seenX = select(values[p], Wide(), maySkip && w[n][i] == 0.0);
            (*acc)[j * LOAD_PACKS + p][i] = fma(Wide(w[n][i]), seenX, (*acc)[j * LOAD_PACKS + p][i]);
          }
        }
      }
    }
  }
}

// The step of a value that its weight takes in: one multiplication, and not one for each element of the value.
fn stepOfWeight(value: u32) -> f32 {
  return valueStep(value);
}
