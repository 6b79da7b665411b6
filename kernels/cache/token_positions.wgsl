// token_positions: the positions of new tokens that are not in the cache yet.

// variant padded: each sequence has as many of them.
//
//   lengths  [B]  u32  read  tokens before them
var<storage, read> lengths: array<u32>;

fn positionOfToken(sequence: u32, token: u32) -> u32 {
  return lengths[sequence] + token;
}

// variant ragged: those of all sequences lie end to end, as if they were of one.
//
// Needs new_tokens.
fn positionOfToken(sequence: u32, token: u32) -> u32 {
  return positionOfRow(sequenceOfRow(token), token);
}
