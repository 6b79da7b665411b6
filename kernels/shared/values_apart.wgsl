// values_apart: each lane sums up its own part of the values, of every STRIPS-th column.
fn addValues(
  acc: ptr<function, Sums>,
  view: View,
  start: u32,
  count: u32,
  rowGroup: u32,
  lane: u32,
) {
  let firstLoad = lane % VALUE_LANES;
  for (var c = stripOf(lane); c < count; c += STRIPS) {
    let row = kvRowAt(view.kvRows, start + c);
    let step = valueStep(row);
    let w = weightsAt(rowGroup, lane, c);
    /*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
      let values = valuesAt(row, min(firstLoad + j * VALUE_LANES, PACKS / LOAD_PACKS - 1u));
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        let x = step * values[p];
        /*unroll*/ for (var i = 0u; i < ROWS; i++) {
          // What a row does not see must not reach it even where it is infinite or NaN.
          let seenX = select(x, Wide(), ROWS_DIFFER == 1u && w[i] == 0.0);
          (*acc)[j * LOAD_PACKS + p][i] = fma(Wide(w[i]), seenX, (*acc)[j * LOAD_PACKS + p][i]);
        }
      }
    }
  }
}
