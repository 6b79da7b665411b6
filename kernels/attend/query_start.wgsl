// query_start: where the query of a row of a tile begins, in loads.
//
// Needs params, row_tile, tile.
fn startOfQuery(tile: RowTile, i: u32) -> u32 {
  let row = rowOf(tile, i);
  return queryRow(tile.batch, headOf(row), tokenOf(row)) * HEAD_LOADS;
}
