// row_order: the query rows of a tile, numbered as in [B, N, S], and their tokens.
//
// Rows past the end of a tile repeat its last row: they are computed and not stored.

// variant by_head: the rows of a query head follow those of another.
//
// Needs row_tile, params.
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

// variant by_token: the rows of a token follow those of another, so that a tile has few tokens and meets few keys that some of
// its rows do not see.
//
// Needs row_tile, params.
fn rowOf(tile: RowTile, i: u32) -> u32 {
  let groupSize = params.numHeads / params.numKvHeads;
  let row = tile.firstRow + min(i, tile.numRows - 1u);
  let head = (tile.batch * params.numKvHeads + tile.kvHead) * groupSize + row % groupSize;
  return head * params.seqLen + row / groupSize;
}

// The first and the last token of a tile.
fn tokensOf(tile: RowTile) -> vec2u {
  let last = tile.firstRow + tile.numRows - 1u;
  return vec2u(tile.firstRow, last) / (params.numHeads / params.numKvHeads);
}

// variant ragged: by head, and tokens are those of one sequence among others'.
//
// Needs row_tile, params.
fn rowOf(tile: RowTile, i: u32) -> u32 {
  let row = tile.firstRow + min(i, tile.numRows - 1u);
  let head = tile.kvHead * (params.numHeads / params.numKvHeads) + row / tile.seqLen;
  return head * params.seqLen + tile.firstToken + row % tile.seqLen;
}

// The first and the last token of a tile: of all of the sequence's where the tile has rows of several heads.
fn tokensOf(tile: RowTile) -> vec2u {
  let first = tile.firstRow;
  let last = tile.firstRow + tile.numRows - 1u;
  let isOneHead = first / tile.seqLen == last / tile.seqLen;
  let within = select(vec2u(0u, tile.seqLen - 1u), vec2u(first, last) % tile.seqLen, isOneHead);
  return tile.firstToken + within;
}
