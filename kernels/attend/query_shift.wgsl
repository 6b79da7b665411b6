// query_shift: the number that is added to the products of a query with the keys, as these are stored.

// variant none: keys are stored as they are.
//
// Needs row_tile.
fn shiftOf(tile: RowTile, i: u32) -> f32 {
  return 0.0;
}

// variant transformed: the query's product with the offsets of keys, followed by zeros in its load.
//
// Needs pack, query_start, row_tile, HEAD_LOADS, LOAD_PACKS, q.
fn shiftOf(tile: RowTile, i: u32) -> f32 {
  return addInner(q[(startOfQuery(tile, i) + HEAD_LOADS) * LOAD_PACKS], Wide(1.0), 0.0);
}
