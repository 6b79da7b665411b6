// values_apart: each lane sums up its own part of the values, of every STRIPS-th column, COLUMNS of them at a time, so that so
// many loads are under way at once.
fn addValues(
  acc: ptr<function, Sums>,
  view: View,
  start: u32,
  count: u32,
  rowGroup: u32,
  lane: u32,
) {
  let firstLoad = lane % VALUE_LANES;
  for (var c = stripOf(lane); c < count; c += STRIPS * COLUMNS) {
    let w = weightsAt(rowGroup, lane, c);
    /*unroll*/ for (var n = 0u; n < COLUMNS; n++) {
      // Columns past the end have no weight.
      let value = startOfValue(kvRowOf(view, start + c + n * STRIPS));
      let step = valueStep(value);
      /*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
        let values = valuesAt(value, min(firstLoad + j * VALUE_LANES, PACKS / LOAD_PACKS - 1u));
        /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
          let x = step * values[p];
          /*unroll*/ for (var i = 0u; i < ROWS; i++) {
            // What a row does not see must not reach it even where it is infinite or NaN.
            let seenX = select(x, Wide(), MAY_SKIP == 1u && w[n][i] == 0.0);
            (*acc)[j * LOAD_PACKS + p][i] = fma(Wide(w[n][i]), seenX, (*acc)[j * LOAD_PACKS + p][i]);
          }
        }
      }
    }
  }
}
