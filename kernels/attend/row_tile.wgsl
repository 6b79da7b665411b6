// row_tile: TILE_ROWS query rows read the same KV head, so that a loaded key or value serves all of them.

// variant padded: every sequence has params.seqLen tokens, and as many tiles.
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

// variant ragged: the tokens of all sequences lie end to end, and tiles are dealt out to sequences by the rows they have.
//
//   first tile of sequence b = floor(start of b x groupSize / TILE_ROWS) + b x SPARE_TILES
//
// As a floor may cut off a tile's rows at either end, a sequence needs a spare tile unless TILE_ROWS divides groupSize. The
// rows of a sequence are in the order of its own tiles, so that its results are the same whatever the others do.
//
// Needs new_tokens, SPARE_TILES, TILE_ROWS, params.
struct RowTile {
  batch: u32,
  kvHead: u32,
  // The first of its rows among the groupSize x seqLen rows of the sequence and the KV head.
  firstRow: u32,
  // 0 where the sequence has no more rows.
  numRows: u32,
  // The tokens of the sequence: the first of them, and how many.
  firstToken: u32,
  seqLen: u32,
}

fn tilesPerKvHead() -> u32 {
  return params.numHeads / params.numKvHeads * params.seqLen / TILE_ROWS + numSequences() * SPARE_TILES;
}

fn rowTileOf(index: u32) -> RowTile {
  let groupSize = params.numHeads / params.numKvHeads;
  let scale = vec3u(groupSize, TILE_ROWS, SPARE_TILES);
  let place = index % tilesPerKvHead();
  let sequence = sequenceAt(place, scale);
  let seqLen = countOfNew(sequence);
  let firstRow = (place - firstPlace(sequence, scale)) * TILE_ROWS;
  return RowTile(
    sequence,
    index / tilesPerKvHead(),
    firstRow,
    min(TILE_ROWS, max(firstRow, groupSize * seqLen) - firstRow),
    startOf(sequence),
    seqLen,
  );
}
