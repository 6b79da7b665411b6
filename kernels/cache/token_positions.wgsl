// token_positions: the positions of new tokens that are not in the cache yet.

// variant none: nobody asks for them.
fn positionOfToken(token: u32) -> u32 {
  return 0u;
}

// variant padded: each sequence has seqLen of them.
//
//   lengths  [B]  u32  read  tokens before them
//
// Needs params.
var<storage, read> lengths: array<u32>;

fn positionOfToken(token: u32) -> u32 {
  return lengths[token / params.seqLen] + token % params.seqLen;
}

// variant ragged: those of all sequences lie end to end.
//
// Needs new_tokens.
fn positionOfToken(token: u32) -> u32 {
  return positionOfRow(sequenceOfRow(token), token);
}
