// row_tile: TILE_ROWS query rows read the same KV head, so that a loaded key or value serves all of them.
//
// Needs TILE_ROWS, params.
struct RowTile {
  batch: u32,
  kvHead: u32,
  // The first of its rows among the groupSize x seqLen rows of the KV head.
  firstRow: u32,
  numRows: u32,
}

fn rowsPerKvHead() -> u32 {
  return params.numHeads / params.numKvHeads * params.seqLen;
}

fn tilesPerKvHead() -> u32 {
  return (rowsPerKvHead() + TILE_ROWS - 1u) / TILE_ROWS;
}

fn rowTileOf(index: u32) -> RowTile {
  let kvHead = index / tilesPerKvHead();
  let firstRow = index % tilesPerKvHead() * TILE_ROWS;
  return RowTile(
    kvHead / params.numKvHeads,
    kvHead % params.numKvHeads,
    firstRow,
    min(TILE_ROWS, rowsPerKvHead() - firstRow),
  );
}

// Rows past the end of a tile repeat its last row: they are computed and not stored.
fn rowOf(tile: RowTile, i: u32) -> u32 {
  return (tile.batch * params.numKvHeads + tile.kvHead) * rowsPerKvHead() + tile.firstRow + min(i, tile.numRows - 1u);
}

// The first and the last token of a tile: of all tokens where the tile has rows of several heads.
fn tokensOf(tile: RowTile) -> vec2u {
  let first = tile.firstRow;
  let last = tile.firstRow + tile.numRows - 1u;
  let isOneHead = first / params.seqLen == last / params.seqLen;
  return select(vec2u(0u, params.seqLen - 1u), vec2u(first, last) % params.seqLen, isOneHead);
}
