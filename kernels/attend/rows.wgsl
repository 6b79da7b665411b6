// rows: which numbers are those of query rows.

// variant padded: all below the number of rows.
//
// Needs params.
fn isRow(row: u32) -> bool {
  return row < params.numRows;
}

// variant ragged: those of new tokens, of which there may be fewer than there is room for.
//
// Needs new_tokens, params.
fn isRow(row: u32) -> bool {
  return row < params.numRows && tokenOf(row) < numNewTokens();
}
