// passing_rows: the query rows that see any column of a tile: of all query heads that share its KV head, the same tokens.
//
// Needs column_tile, context, pack, places, query, tile, HEAD_LOADS, LOAD_PACKS, SINKS, dOAt, params.
struct PassingRows {
  batch: u32,
  firstHead: u32,
  firstToken: u32,
  numTokens: u32,
  count: u32,
}

fn passingRowsOf(tile: ColumnTile, context: Context) -> PassingRows {
  let groupSize = params.numHeads / params.numKvHeads;
  let own = queryPosition(context, 0u) - i32(context.skipped);
  let lastColumn = columnOf(tile, HELD_COLUMNS - 1u);
  let least = i32(tile.firstColumn) - params.windowRight - own;
  // Every later query sees a sink.
  let most = select(i32(lastColumn) + params.windowLeft - own, i32(params.seqLen), tile.firstColumn < SINKS);
  let first = clamp(least, 0, i32(params.seqLen));
  let end = clamp(most + 1, first, i32(params.seqLen));
  let numTokens = u32(end - first);
  return PassingRows(tile.batch, tile.kvHead * groupSize, u32(first), numTokens, groupSize * numTokens);
}

// The row, numbered as in [B, N, S]; of the last one for those past the end.
fn passingRow(rows: PassingRows, index: u32) -> u32 {
  let i = min(index, rows.count - 1u);
  let head = rows.firstHead + i / rows.numTokens;
  return (rows.batch * params.numHeads + head) * params.seqLen + rows.firstToken + i % rows.numTokens;
}

fn startOfPassingQuery(rows: PassingRows, index: u32) -> u32 {
  return passingPlace(index % TILE_COLUMNS) * HEAD_LOADS;
}

fn startOfPassingDO(rows: PassingRows, index: u32) -> u32 {
  return passingPlace(index % TILE_COLUMNS) * VALUE_ROW_LOADS;
}

fn passingQueryAt(start: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return queryAt(start + load);
}

fn passingDOAt(start: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return dOAt(start + load);
}
