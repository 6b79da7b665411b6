// values_apart: each lane sums up its own part of the values, of every STRIPS-th group of COLUMNS columns: so many loads are
// under way at once, and their weights lie side by side.
fn addValues(
  acc: ptr<function, Sums>,
  view: View,
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
      let value = valueOfColumn(view, start + c + n);
      /*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
        let values = valuesAt(value, min(firstLoad + j * VALUE_LANES, PACKS / LOAD_PACKS - 1u));
        /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
          /*unroll*/ for (var i = 0u; i < ROWS; i++) {
            // What a row does not see must not reach it even where it is infinite or NaN.
            let seenX = select(values[p], Wide(), maySkip && w[n][i] == 0.0);
            (*acc)[j * LOAD_PACKS + p][i] = fma(Wide(w[n][i]), seenX, (*acc)[j * LOAD_PACKS + p][i]);
          }
        }
      }
    }
  }
}

// What the weights of a column are multiplied by: once, and not each of its values.
fn foldedStep(value: u32) -> f32 {
  return valueStep(value);
}
