// query_start: where the query of a row of a tile begins, in loads.

// variant stored: queries lie one after the other.
//
// Needs params, row_order, row_tile, HEAD_LOADS.
fn startOfQuery(tile: RowTile, i: u32) -> u32 {
  let row = rowOf(tile, i);
  return queryRow(tile.batch, headOf(row), tokenOf(row)) * HEAD_LOADS;
}

// variant transformed: a load with its shift and one with its total lie behind each.
//
// Needs params, row_order, row_tile, HEAD_LOADS.
fn startOfQuery(tile: RowTile, i: u32) -> u32 {
  let row = rowOf(tile, i);
  return queryRow(tile.batch, headOf(row), tokenOf(row)) * (HEAD_LOADS + 2u);
}
