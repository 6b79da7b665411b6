// query_shift: the numbers of a query by which the keys that are stored differ from those that were appended.
//
//   q . k = shift + total middle + step (q . n)

// variant none: keys are stored as they were appended, or by steps alone.
//
// Needs row_tile.
fn shiftOf(tile: RowTile, i: u32) -> f32 {
  return 0.0;
}

fn totalOf(tile: RowTile, i: u32) -> f32 {
  return 0.0;
}

// variant transformed: its product with the offsets of keys, and the sum of its elements, each followed by zeros in its load.
//
// Needs pack, query_start, row_tile, HEAD_LOADS, LOAD_PACKS, q.
fn shiftOf(tile: RowTile, i: u32) -> f32 {
  return addInner(q[(startOfQuery(tile, i) + HEAD_LOADS) * LOAD_PACKS], Wide(1.0), 0.0);
}

fn totalOf(tile: RowTile, i: u32) -> f32 {
  return addInner(q[(startOfQuery(tile, i) + HEAD_LOADS + 1u) * LOAD_PACKS], Wide(1.0), 0.0);
}
