// query_positions: the queries of a line of the grid, and the positions of their tokens.

// variant padded: the last seqLen tokens of a sequence.
//
//   position(i) = lengths[b] - seqLen + i
//
//   lengths  [B]  u32  read
//
// Needs params.
var<storage, read> lengths: array<u32>;

fn numQueriesOf(batch: u32) -> u32 {
  return params.seqLen;
}

fn positionOf(batch: u32, token: u32) -> u32 {
  return lengths[batch] - params.seqLen + token;
}

// variant ragged: the new tokens of all sequences, end to end.
//
// Needs new_tokens.
fn numQueriesOf(batch: u32) -> u32 {
  return numNewTokens();
}

fn positionOf(batch: u32, token: u32) -> u32 {
  return positionOfRow(sequenceOfRow(token), token);
}
